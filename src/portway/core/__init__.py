"""The pure core: what should happen next, decided from values alone.

manifest -> App -> Plan -> Engine -> Instance -> Endpoint -> Route -> Balancer

App           core/app.py          what the user asked for
Plan          core/plan.py         what portway will do about it; made by core/reconcile.py
Instance      core/instance.py     one run of one revision; its phases only move forward
Endpoint      core/routes.py       where a live instance answers
Route         core/routes.py       a listener and the endpoints behind it

Nothing here reads a clock, a file, a socket or a random number: time is an argument.
"""
