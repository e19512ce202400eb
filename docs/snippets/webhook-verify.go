// Checks a delivery of a webhook.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"time"
)

// verify fails unless signature, the header Persona-Signature, is of the raw body.
func verify(signature string, body []byte, secret string) error {
	fields := strings.Split(signature, ",")
	if len(fields) < 2 {
		return errors.New("no signature")
	}
	t, _ := strings.CutPrefix(fields[0], "t=")
	v1, _ := strings.CutPrefix(fields[1], "v1=")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	given, err := hex.DecodeString(v1)
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		return errors.New("invalid signature")
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil || time.Now().Unix()-seconds > 300 {
		return errors.New("stale")
	}
	return nil
}

func main() {
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	if err := verify(os.Args[1], body, os.Getenv("PERSONA_WEBHOOK_SECRET")); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ok")
}
