# Checks a delivery: the header is $1, the raw body is on standard input, the secret is in PERSONA_WEBHOOK_SECRET.
persona webhooks verify --signature "$1"
