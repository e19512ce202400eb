# Makes a persona and prints its id.
curl -sS --fail-with-body "${PERSONA_BASE_URL:-https://api.persona.dev}/v1/personas" \
  -H "Authorization: Bearer $PERSONA_API_KEY" -H "Content-Type: application/json" \
  -H "Idempotency-Key: $(date +%s)-$$" \
  -d '{"intent": "A 58-year-old bookseller from Istanbul who hides letters in old books", "visibility": "workspace"}' |
  sed -E 's/^\{"id":"([^"]+)".*/\1/'
