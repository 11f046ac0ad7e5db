"""HAProxy: render.py is pure (routes -> haproxy.cfg), runtime.py the socket, process.py the supervisor."""
