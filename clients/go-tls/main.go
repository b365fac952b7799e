// Command go-tls asks a craftnet server over TLS how it is, with net/http, and reads the first message of a feed over a WebSocket.
// It uses the standard library only, which offers ALPN on every TLS connection, as browsers do.
package main

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"
)

const timeout = 20 * time.Second

func main() {
	log.SetFlags(0)
	ca := flag.String("ca", "", "PEM file of the authorities to trust (default: those of the system)")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go-tls [-ca root.pem] https://HOST:PORT PATH-OF-A-FEED TOKEN\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 3 {
		flag.Usage()
		os.Exit(2)
	}
	server, err := url.Parse(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{}
	if *ca != "" {
		config.RootCAs = authorities(*ca)
	}
	if err := health(server, config); err != nil {
		log.Fatal(err)
	}
	message, err := first(server, flag.Arg(1), flag.Arg(2), config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(message)
}

func authorities(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		log.Fatalf("%s holds no certificate", file)
	}
	return pool
}

// health prints how the server answers GET /health. net/http offers "h2" and "http/1.1".
func health(server *url.URL, config *tls.Config) error {
	transport := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport, Timeout: timeout}
	response, err := client.Get(server.JoinPath("/health").String())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	fmt.Println(response.Proto, response.StatusCode, "ALPN:", response.TLS.NegotiatedProtocol)
	return nil
}

// first returns the first message of a feed: a WebSocket (RFC 6455), whose first frame is text and not fragmented.
func first(server *url.URL, path, token string, config *tls.Config) (string, error) {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	connection, err := tls.Dial("tcp", server.Host, config)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(timeout))
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return "", err
	}
	request, err := http.NewRequest("GET", server.JoinPath("/").String(), nil)
	if err != nil {
		return "", err
	}
	if request.URL, err = server.Parse(path); err != nil {
		return "", err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "websocket")
	request.Header.Set("Sec-WebSocket-Version", "13")
	request.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(key))
	request.Header.Set("Sec-WebSocket-Protocol", "craftnet.json.v1")
	request.Header.Set("Authorization", "Bearer "+token)
	if err := request.Write(connection); err != nil {
		return "", err
	}
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, request)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return "", fmt.Errorf("the server answers %s", response.Status)
	}
	return text(reader)
}

// text reads one frame (RFC 6455 section 5.2); frames of servers are not masked.
func text(reader io.Reader) (string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(reader, head); err != nil {
		return "", err
	}
	if head[0] != 0x81 {
		return "", fmt.Errorf("a frame begins with %#x, and not with that of a text, 0x81", head[0])
	}
	length := uint64(head[1])
	switch length {
	case 126:
		var short uint16
		if err := binary.Read(reader, binary.BigEndian, &short); err != nil {
			return "", err
		}
		length = uint64(short)
	case 127:
		if err := binary.Read(reader, binary.BigEndian, &length); err != nil {
			return "", err
		}
	}
	if length > 1<<20 {
		return "", fmt.Errorf("a frame of %d bytes is too long", length)
	}
	payload := make([]byte, length)
	_, err := io.ReadFull(reader, payload)
	return string(payload), err
}
