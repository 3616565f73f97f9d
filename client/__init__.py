"""The command line's own room: what people run at their desks, with the official Kubernetes client.

No component and no agent imports it, nor is it in their image: `cloudstack` loads it when it is asked for a console.
"""
