// Calls every operation of the game's contract on a live craftnet server, with a client that ogen generates from
// /openapi.json. Each line of its output is an operation and what was answered; it ends with 1 at the first surprise.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"craftnet.example/go-api/api"
	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// tokens answers the generated client's question for a bearer token.
type tokens string

func (t tokens) Bearer(context.Context, api.OperationName) (api.Bearer, error) {
	return api.Bearer{Token: string(t)}, nil
}

// upgrading adds the header fields of a WebSocket handshake (RFC 6455 section 4.1) to a request.
type upgrading struct{}

func (upgrading) Do(request *http.Request) (*http.Response, error) {
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "websocket")
	request.Header.Set("Sec-WebSocket-Version", "13")
	request.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	response, err := http.DefaultClient.Do(request)
	if err == nil && response.StatusCode == http.StatusSwitchingProtocols {
		response.Body.Close() // a feed has no end, and a generated client reads a body to its end.
		response.Body = http.NoBody
	}
	return response, err
}

type clients struct {
	player, admin, nobody, upgrade, upgradeAdmin *api.Client
}

func main() {
	base := flag.String("url", "http://127.0.0.1:8080", "the server's base URL")
	player := flag.String("player", "", "the player's id")
	session := flag.String("session", "", "a session of the player")
	token := flag.String("token", "", "the player's token")
	admin := flag.String("admin", "", "a token with the scope crafting:admin")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	made := clients{
		player: client(*base, *token), admin: client(*base, *admin), nobody: client(*base, "nonsense"),
		upgrade:      client(*base, *token, api.WithClient(upgrading{})),
		upgradeAdmin: client(*base, *admin, api.WithClient(upgrading{})),
	}
	playerID, sessionID := uuid.MustParse(*player), uuid.MustParse(*session)
	health(ctx, made)
	feeds(ctx, made, *base, *token, playerID, sessionID)
	udp(ctx, made, playerID, sessionID)
}

func client(base, token string, options ...api.ClientOption) *api.Client {
	made, err := api.NewClient(base, tokens(token), options...)
	check(err)
	return made
}

func health(ctx context.Context, made clients) {
	switch answer := must(made.player.CraftingNetworkServiceHealthCheck(ctx)).(type) {
	case *api.CraftingNetworkServiceHealthCheckOK:
		report("craftingNetworkServiceHealthCheck", answer.Response.Status)
	default:
		surprise("craftingNetworkServiceHealthCheck", answer)
	}
	asked := &api.HealthBatchRequest{Services: []api.Service{api.ServiceCraftingNetwork}}
	switch answer := must(made.player.CraftingNetworkServiceBatchHealthCheck(ctx, asked)).(type) {
	case *api.HealthBatchResponseHeaders:
		report("craftingNetworkServiceBatchHealthCheck", answer.Response.OverallStatus, len(answer.Response.Results))
	default:
		surprise("craftingNetworkServiceBatchHealthCheck", answer)
	}
	named := api.CraftingNetworkServiceHealthWebSocketParams{Services: []api.Service{api.ServiceCraftingService}}
	switch answer := must(made.admin.CraftingNetworkServiceHealthWebSocket(ctx, named)).(type) {
	case *api.HealthWebSocketInfo:
		report("craftingNetworkServiceHealthWebSocket", answer.SupportedProtocols[0])
	default:
		surprise("craftingNetworkServiceHealthWebSocket", answer)
	}
	switch answer := must(made.upgradeAdmin.CraftingNetworkServiceHealthWebSocket(ctx, named)).(type) {
	case *api.CraftingNetworkServiceHealthWebSocketSwitchingProtocols:
		report("craftingNetworkServiceHealthWebSocket", "101")
	default:
		surprise("craftingNetworkServiceHealthWebSocket", answer)
	}
}

func feeds(ctx context.Context, made clients, base, token string, player, session uuid.UUID) {
	crafting := api.CraftingSessionWebSocketParams{SessionID: session, PlayerID: player}
	switch answer := must(made.player.CraftingSessionWebSocket(ctx, crafting)).(type) {
	case *api.CraftingSnapshot:
		report("craftingSessionWebSocket", answer.Messages[0].Type, answer.Messages[0].SessionID == session)
	default:
		surprise("craftingSessionWebSocket", answer)
	}
	switch answer := must(made.upgrade.CraftingSessionWebSocket(ctx, crafting)).(type) {
	case *api.CraftingSessionWebSocketSwitchingProtocols:
		report("craftingSessionWebSocket", "101")
	default:
		surprise("craftingSessionWebSocket", answer)
	}
	switch answer := must(made.nobody.CraftingSessionWebSocket(ctx, crafting)).(type) {
	case *api.UnauthorizedHeaders:
		report("craftingSessionWebSocket", answer.Response.Code, strings.Fields(answer.WWWAuthenticate)[0])
	default:
		surprise("craftingSessionWebSocket", answer)
	}
	path := fmt.Sprintf("/ws/crafting/%s?player_id=%s", session, player)
	var message api.WebSocketCraftingMessage
	check(message.UnmarshalJSON(first(ctx, base+path, token)))
	report("WebSocketCraftingMessage", message.Type, message.ProgressData.Value.Status)
	queue := api.CraftingQueueWebSocketParams{PlayerID: player}
	switch answer := must(made.player.CraftingQueueWebSocket(ctx, queue)).(type) {
	case *api.QueueSnapshot:
		report("craftingQueueWebSocket", answer.Messages[0].Type, answer.Messages[0].PlayerID == player)
	default:
		surprise("craftingQueueWebSocket", answer)
	}
	switch answer := must(made.upgrade.CraftingQueueWebSocket(ctx, queue)).(type) {
	case *api.CraftingQueueWebSocketSwitchingProtocols:
		report("craftingQueueWebSocket", "101")
	default:
		surprise("craftingQueueWebSocket", answer)
	}
	var place api.WebSocketQueueMessage
	check(place.UnmarshalJSON(first(ctx, fmt.Sprintf("%s/ws/queue/%s", base, player), token)))
	report("WebSocketQueueMessage", place.Type, place.StationType.Value)
}

// first returns the first message of a feed.
func first(ctx context.Context, url, token string) []byte {
	header := http.Header{"Authorization": {"Bearer " + token}}
	connection, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPHeader: header, Subprotocols: []string{"craftnet.json.v1"},
	})
	check(err)
	defer connection.CloseNow()
	_, octets, err := connection.Read(ctx)
	check(err)
	return octets
}

func udp(ctx context.Context, made clients, player, session uuid.UUID) {
	request := &api.UdpConnectRequest{PlayerID: player, ClientVersion: "1.2.3"}
	connect := api.UdpCraftingSessionConnectParams{SessionID: session}
	switch answer := must(made.player.UdpCraftingSessionConnect(ctx, request, connect)).(type) {
	case *api.UdpConnectResponse:
		report("udpCraftingSessionConnect", answer.NegotiatedPacketSize, answer.CompressionEnabled)
	default:
		surprise("udpCraftingSessionConnect", answer)
	}
	body := binary.BigEndian.AppendUint16(nil, 4200) // hundredths of a percent.
	body = append(body, 0, 0)                        // the qualities are unknown.
	body = binary.BigEndian.AppendUint32(body, 0xFFFFFFFF)
	body = append(body, make([]byte, 8)...) // active, and padding.
	progress := api.UdpCraftingProgressSyncReq{Data: bytes.NewReader(record(1, session, body))}
	where := api.UdpCraftingProgressSyncParams{SessionID: session}
	switch answer := must(made.player.UdpCraftingProgressSync(ctx, progress, where)).(type) {
	case *api.UdpCraftingProgressSyncOK:
		report("udpCraftingProgressSync", answer.Type, answer.ProgressComparison.Correction.Status)
	default:
		surprise("udpCraftingProgressSync", answer)
	}
	material := uuid.MustParse("0f1e2d3c-4b5a-4697-8877-665544332206")
	row := binary.BigEndian.AppendUint32(material[:], 5)
	row = append(row, 0, 0, 0, 0) // added, of unknown quality, and padding.
	materials := api.UdpMaterialAvailabilitySyncReq{Data: bytes.NewReader(record(2, session, row))}
	at := api.UdpMaterialAvailabilitySyncParams{SessionID: session}
	switch answer := must(made.player.UdpMaterialAvailabilitySync(ctx, materials, at)).(type) {
	case *api.UdpMaterialAvailabilitySyncOK:
		report("udpMaterialAvailabilitySync", answer.Type, len(answer.MaterialsComparison.Deviating))
	default:
		surprise("udpMaterialAvailabilitySync", answer)
	}
}

// record returns a client's report: the header and a body, as PROTOCOL.md has them.
func record(kind byte, session uuid.UUID, body []byte) []byte {
	made := []byte{kind, 1 << 4}
	made = binary.BigEndian.AppendUint16(made, uint16(32+len(body)))
	made = binary.BigEndian.AppendUint32(made, 1)
	made = binary.BigEndian.AppendUint64(made, uint64(time.Now().UnixMilli()))
	return append(append(made, session[:]...), body...)
}

func must[T any](answer T, err error) T {
	check(err)
	return answer
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func report(operation string, facts ...any) {
	fmt.Print(operation, ": ", fmt.Sprintln(facts...))
}

func surprise(operation string, answer any) {
	fmt.Fprintf(os.Stderr, "%s: unexpected answer %T %+v\n", operation, answer, answer)
	os.Exit(1)
}
