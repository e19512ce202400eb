// Makes a persona and prints its id.
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

func main() {
	base := cmp.Or(os.Getenv("PERSONA_BASE_URL"), "https://api.persona.dev")
	body, _ := json.Marshal(map[string]string{
		"intent":     "A 58-year-old bookseller from Istanbul who hides letters in old books",
		"visibility": "workspace",
	})
	request, err := http.NewRequest("POST", base+"/v1/personas", bytes.NewReader(body))
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
	var answer struct {
		ID    string
		Error struct{ Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	if response.StatusCode >= 400 {
		log.Fatal(answer.Error.Message)
	}
	fmt.Println(answer.ID)
}
