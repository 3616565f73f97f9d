"""The PortBindings of this host: what may pass from each guest's tap. All of them in one transaction."""
