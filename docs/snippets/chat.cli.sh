# Says something to $PERSONA; the answer streams, its drift follows.
persona chat "$PERSONA" "What are you reading?"
