"""GitHub: issues in, comments and pull requests out.

What comes in lies in an inbox (`inbox`, filled by the webhook and by `reconcile`) and is worked off by `events`; what goes out
is read off the activity feed into an outbox (`outbox`) and sent from there. `tend` does both, under a lease, in a worker.
`trust` alone decides who may start a run. Nothing here serves HTTP; nothing here holds a transaction while GitHub is asked.
"""
