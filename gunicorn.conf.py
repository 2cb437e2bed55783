"""How gunicorn runs the service; override with GUNICORN_CMD_ARGS or on its command line."""

bind = "127.0.0.1:8000"
wsgi_app = "wsgi:app"

# A bad setting stops the start at once, with one line, instead of every worker in turn.
preload_app = True

worker_class = "gthread"
workers = 2
threads = 4

# A socket for an administration that this service does not use.
control_socket_disable = True
