// Makes a persona and prints each field of it as soon as it is known.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	base := cmp.Or(os.Getenv("PERSONA_BASE_URL"), "https://api.persona.dev")
	body := strings.NewReader(`{"intent": "A 66-year-old chef from Sydney who collects vintage cars"}`)
	request, err := http.NewRequest("POST", base+"/v1/personas?stream=true", body)
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("PERSONA_API_KEY"))
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		log.Fatal(response.Status)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	event := ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			event = value
		case "data":
			var data struct {
				Path, Step string
				PersonaID  string `json:"persona_id"`
			}
			if err := json.Unmarshal([]byte(value), &data); err != nil {
				log.Fatal(err)
			}
			fmt.Println(event, cmp.Or(data.Path, data.Step, data.PersonaID))
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
