// A function for a root without anything: answers each event with itself. Statically linked.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		event, err := http.Get(base + "next")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		body, _ := io.ReadAll(event.Body)
		event.Body.Close()
		id := event.Header.Get("Lambda-Runtime-Aws-Request-Id")
		line := fmt.Sprintf("{\"request_id\":%q,\"payload\":%s}\n", id, body)
		if fifo, err := os.OpenFile("/tmp/spanpipe-results.fifo", os.O_RDWR, 0); err == nil {
			fifo.WriteString(line)
			fifo.Close()
		}
		answer, err := http.Post(base+id+"/response", "application/json", bytes.NewReader(body))
		if err == nil {
			answer.Body.Close()
		}
	}
}
