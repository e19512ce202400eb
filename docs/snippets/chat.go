// Begins a conversation with $PERSONA, says something, and prints the answer and how far it drifted.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
)

type answer struct {
	ID      string
	Content string
	Drift   struct{ Verdict string }
	Error   struct{ Message string }
}

func post(path string, body map[string]string) answer {
	base := cmp.Or(os.Getenv("PERSONA_BASE_URL"), "https://api.persona.dev")
	text, _ := json.Marshal(body)
	request, err := http.NewRequest("POST", base+"/v1/chat/conversations"+path, bytes.NewReader(text))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("PERSONA_API_KEY"))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var said answer
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
		log.Fatal(err)
	}
	if response.StatusCode >= 400 {
		log.Fatal(said.Error.Message)
	}
	return said
}

func main() {
	conversation := post("", map[string]string{"persona_id": os.Getenv("PERSONA")})
	turn := post("/"+conversation.ID+"/messages", map[string]string{"message": "What are you reading?"})
	fmt.Println(turn.Content)
	fmt.Println(turn.Drift.Verdict)
}
