module example

go 1.26

require (
	github.com/aws/aws-lambda-go v1.55.1
	spanpipe v0.0.0
)

replace spanpipe => ../
