module craftnet.example/go-tls

go 1.19
