"""HTTP faces over controller.operations; no logic of their own."""
