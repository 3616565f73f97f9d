"""How fast guests may send and receive: a limit on each tap, where its offering has one."""
