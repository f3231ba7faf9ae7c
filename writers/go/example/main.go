// A function on aws-lambda-go: its event says how it ends.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"spanpipe"
)

type order struct {
	ID    int   `json:"id"`
	Fail  bool  `json:"fail"`
	Hang  int64 `json:"hang"`
	Bytes int   `json:"bytes"`
}

type answer struct {
	ID   int    `json:"id"`
	Text string `json:"text"`
}

func main() {
	writer := spanpipe.FromEnv()
	lambda.Start(func(ctx context.Context, event json.RawMessage) (*answer, error) {
		invocation := started(ctx, writer, event)
		var given order
		if err := json.Unmarshal(event, &given); err != nil {
			invocation.Error("ValueError", err.Error(), "")
			return nil, err
		}
		value, err := handler(given, invocation)
		if err != nil {
			invocation.Error("ValueError", err.Error(), "")
			return nil, err
		}
		invocation.Result(value)
		return value, nil
	})
}

func started(ctx context.Context, writer *spanpipe.Writer, event []byte) *spanpipe.Invocation {
	told := spanpipe.Context{
		MemoryMB:   uint32(lambdacontext.MemoryLimitInMB),
		LogGroup:   lambdacontext.LogGroupName,
		LogStream:  lambdacontext.LogStreamName,
		XRayHeader: os.Getenv("_X_AMZN_TRACE_ID"),
		Event:      event, // a caller's trace goes on
	}
	told.Deadline, _ = ctx.Deadline()
	if known, ok := lambdacontext.FromContext(ctx); ok {
		told.RequestID, told.InvokedFunctionARN = known.AwsRequestID, known.InvokedFunctionArn
	}
	return writer.Start(told)
}

func handler(given order, invocation *spanpipe.Invocation) (*answer, error) {
	span := invocation.Span("work")
	span.Attributes["id"] = given.ID
	span.Event("noted", nil)
	span.End(nil)
	if given.Fail {
		return nil, errors.New("as asked")
	}
	if given.Hang > 0 {
		invocation.Partial(map[string]int{"so far": given.ID})
		time.Sleep(time.Duration(given.Hang) * time.Second)
	}
	return &answer{given.ID, strings.Repeat("x", given.Bytes)}, nil
}
