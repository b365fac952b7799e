"""`craftnet load`: a load generator that checks a server's promises on the user's own machine.

    command ──▶ worker processes, each with a share of the watchers ──▶ the server
            ◀── histograms

A worker posts the events of its own sessions and watches them, so one process knows both ends of every delivery. `plan`
and `measurement` are pure; `worker` is the loop over the sockets of `posting`, `websockets` and `datagrams`, without
Twisted: a generator must cost less than what it measures.
"""
