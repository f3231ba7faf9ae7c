module spanpipe

go 1.21
