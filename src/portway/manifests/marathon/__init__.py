"""Marathon's definitions: JSON objects read, made canonical and judged as Marathon does, and the Apps they mean. Pure.

A definition is a plain JSON object. accept.py is the way in, apps.py and pods.py make Apps of what it gives.
"""
