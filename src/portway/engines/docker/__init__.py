"""The Docker engine: command.py is pure (App -> API body), client.py and engine.py talk to the daemon."""
