module example.com/mc-api

go 1.26.0
