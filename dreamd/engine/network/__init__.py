"""Networks: frozen, and with layers that can be looked at. The one place that says what a module gives and is given."""
