# Begins a conversation with $PERSONA, says something, and prints the turn: content, drift, coherence, cost.
base="${PERSONA_BASE_URL:-https://api.persona.dev}/v1/chat/conversations"
conversation=$(curl -sS --fail-with-body "$base" -H "Authorization: Bearer $PERSONA_API_KEY" \
  -H "Content-Type: application/json" -d "{\"persona_id\": \"$PERSONA\"}" | sed -E 's/^\{"id":"([^"]+)".*/\1/')
curl -sS --fail-with-body "$base/$conversation/messages" -H "Authorization: Bearer $PERSONA_API_KEY" \
  -H "Content-Type: application/json" -d '{"message": "What are you reading?"}'
