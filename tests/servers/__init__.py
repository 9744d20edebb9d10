"""Local servers that speak a chat server's protocol to the real client libraries, faults included."""
