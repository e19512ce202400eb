# Makes a persona and prints each event as it comes. Cut off, go on with GET /v1/runs/{run}/events and Last-Event-ID.
curl -sSN --fail-with-body "${PERSONA_BASE_URL:-https://api.persona.dev}/v1/personas?stream=true" \
  -H "Authorization: Bearer $PERSONA_API_KEY" -H "Accept: text/event-stream" -H "Content-Type: application/json" \
  -d '{"intent": "A 66-year-old chef from Sydney who collects vintage cars"}'
