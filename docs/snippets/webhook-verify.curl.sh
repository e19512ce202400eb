# Checks a delivery that curl or any other tool has brought: the header is $1, the raw body is on standard input.
body=$(mktemp) && trap 'rm -f "$body"' EXIT && cat >"$body"
t=$(printf '%s' "$1" | cut -d, -f1 | cut -d= -f2)
v1=$(printf '%s' "$1" | cut -d, -f2 | cut -d= -f2)
expected=$({ printf '%s.' "$t"; cat "$body"; } | openssl dgst -sha256 -hmac "$PERSONA_WEBHOOK_SECRET" -hex | sed 's/.* //')
[ "$v1" = "$expected" ] || { echo "invalid signature" >&2; exit 1; }
[ $(($(date +%s) - t)) -le 300 ] || { echo "stale" >&2; exit 1; }
echo ok
