// What every writer of the repository can say, for the tests that hold them all to the same.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"spanpipe"
)

type event struct {
	ID    int  `json:"id"`
	Bytes int  `json:"bytes"`
	Fail  bool `json:"fail"`
}

type answer struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

func main() {
	count, _ := strconv.Atoi(os.Args[2])
	size, _ := strconv.Atoi(os.Args[3])
	writer := spanpipe.FromEnv()
	writer.SetBudget(time.Minute) // no machine is so busy; the budget has a test of its own
	input := bufio.NewReader(os.Stdin)
	for id := 0; id < count; id++ {
		speak(writer, fmt.Sprintf("%s-%d", os.Args[1], id), event{id, size, os.Args[4] == "error"})
		if len(os.Args) > 5 {
			fmt.Println(".")
			_, _ = input.ReadString('\n')
		}
	}
	fmt.Printf("{\"dropped\":%d,\"faults\":%d}\n", writer.Dropped(), writer.Faults())
}

func speak(writer *spanpipe.Writer, request string, given event) {
	invocation := writer.Start(spanpipe.Context{
		RequestID:          request,
		Deadline:           time.Now().Add(time.Second),
		MemoryMB:           128,
		InvokedFunctionARN: "arn:aws:lambda:eu-west-1:123456789012:function:shop",
		LogGroup:           "/aws/lambda/shop",
		LogStream:          "s",
		XRayHeader:         os.Getenv("_X_AMZN_TRACE_ID"),
	})
	invocation.Request(given)
	span := invocation.Span("work")
	span.Attributes["n"] = given.ID
	span.Event("noted", map[string]any{"ä": true})
	span.End(nil)
	invocation.Partial(map[string]int{"so far": given.ID})
	if given.Fail {
		invocation.Error("ValueError", "no such order: 3 €", string(debug.Stack()))
	} else {
		invocation.Result(answer{given.ID, strings.Repeat("x", given.Bytes)})
	}
}
