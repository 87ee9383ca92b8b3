"""What monitoring asks: `/metrics`, `/healthz` and `/readyz`.

Knows the snapshot, the journal and the processes' memory. Knows no request and no page.
"""
