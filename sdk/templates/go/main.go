// The step's config arrives on stdin, its output is what is written to stdout, stderr is its log.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	var config struct{ Name string }
	if err := json.NewDecoder(os.Stdin).Decode(&config); err != nil || config.Name == "" {
		fmt.Fprintln(os.Stderr, "`name` is missing")
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]string{"greeting": "Hello, " + config.Name + "!"})
}
