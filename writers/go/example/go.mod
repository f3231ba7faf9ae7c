module example

go 1.21

require (
	github.com/aws/aws-lambda-go v1.49.0
	spanpipe v0.0.0
)

replace spanpipe => ../
