"""How gunicorn runs what the service is compared with: as gunicorn.conf.py runs the service, but one worker."""

worker_class = "gthread"
workers = 1
threads = 4
control_socket_disable = True
loglevel = "warning"
