"""The contact directory: Users, Queues and Custom contacts behind one API."""
