"""The CloudStack HTTP API on the objects that kubectl shows.

`declare` is what a command is made of, `commands/` the commands by resource, `responses/` what they answer; `server`,
`dispatch`, `parse` and `wire` know HTTP and no command.
"""
