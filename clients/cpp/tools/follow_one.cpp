#include <algorithm>
#include <cstdlib>
#include <memory>

#include "craftnet/liblz4.h"
#include "craftnet/watch.h"
#include "datagrams.h"
#include "follow.h"
#include "http.h"
#include "print.h"

namespace tools {

namespace {

using craftnet::Time;
using craftnet::Watch;
using craftnet::WatchEvent;
using craftnet::WatchRequest;

const char* const kTransports[] = {"udp", "ws"};
const char* const kResults[] = {"none", "completed", "failed", "over", "refused", "unreachable", "stopped"};

double retry_after(const Answer& answer) { return std::atof(answer.header("retry-after").c_str()); }

craftnet::Bytes view(const std::string& octets) {
  return {reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()};
}

class Program {
 public:
  explicit Program(const Options& options)
      : options_(options), watch_(crypto_, lz4_, options.settings, now()), next_shown_(now()) {}

  int run() {
    step();
    while (watch_.result() == Watch::Result::kNone) {
      wait();
      if (interrupted != 0) watch_.stop(now());
      step();
    }
    step();  // the last datagram.
    return watch_.result() == Watch::Result::kRefused || watch_.result() == Watch::Result::kUnreachable ? 1 : 0;
  }

 private:
  void step() {
    const Time time = now();
    receive(time);
    watch_.tick(time);
    WatchRequest request;
    while (watch_.next_request(request)) perform(request);
    std::uint8_t datagram[craftnet::UdpClient::kRoom];
    for (std::size_t size = 0; (size = watch_.transmit(now(), datagram)) > 0;) {
      datagrams_.send(datagram, size, watch_.server());
    }
    WatchEvent event;
    while (watch_.poll(event)) print_event(event);
    show(time);
  }

  void receive(Time time) {
    static std::uint8_t datagram[65536];
    for (std::size_t size = 0; (size = datagrams_.receive(datagram, sizeof datagram)) > 0;) {
      watch_.datagram(datagram, size, time);
    }
    Answer answer;
    if (connecting_.under_way() && connecting_.pump(answer)) {
      failures_.report(options_.url, connecting_.stream.failure());
      watch_.connect_answered(answer.status, answer.body, retry_after(answer), time);
    }
    if (fetching_.under_way() && fetching_.pump(answer) && answer.status == 200) {
      dictionaries_.push_back(std::make_unique<std::string>(answer.body));
      watch_.dictionary(dictionary_, view(*dictionaries_.back()));
    }
    read_websocket(time);
  }

  void read_websocket(Time time) {
    using Event = WebSocket::Event;
    if (!websocket_open_) return;
    const bool gone = !websocket_.pump();
    for (Event event = Event::kNone; websocket_open_ && (event = websocket_.next(gone)) != Event::kNone;) {
      switch (event) {
        case Event::kOpened:
          watch_.websocket_opened(websocket_.answer.header("sec-websocket-protocol"), time);
          break;
        case Event::kRefused:
          websocket_open_ = false;
          failures_.report(options_.url, websocket_.stream.failure());
          watch_.websocket_refused(websocket_.answer.status, retry_after(websocket_.answer), time);
          break;
        case Event::kText:
          watch_.websocket_text(websocket_.message, time);
          break;
        case Event::kBinary:
          watch_.websocket_binary(view(websocket_.message), time);
          break;
        default:
          websocket_open_ = false;
          watch_.websocket_closed(websocket_.code, websocket_.reason, time);
      }
    }
  }

  void perform(const WatchRequest& request) {
    switch (request.kind) {
      case WatchRequest::Kind::kToken: {
        const std::string token = options_.bearer();
        token.empty() ? watch_.no_token(now()) : watch_.token(token, now());
        break;
      }
      case WatchRequest::Kind::kConnect:
        connecting_.begin(options_.url, options_.tls(), "POST", request.target, watch_.bearer(), request.body);
        break;
      case WatchRequest::Kind::kResolve:
        watch_.resolved(datagrams_.open(request.target, request.port), now());
        break;
      case WatchRequest::Kind::kCloseUdp:
        datagrams_.close();
        break;
      case WatchRequest::Kind::kOpenWebSocket:
        websocket_open_ = true;
        websocket_.open(options_.url, options_.tls(), request.target, watch_.bearer(), request.protocols);
        break;
      case WatchRequest::Kind::kSendText:
        websocket_.send_text(request.body);
        break;
      case WatchRequest::Kind::kCloseWebSocket:
        websocket_open_ = false;
        websocket_.close();
        break;
      case WatchRequest::Kind::kDictionary:
        dictionary_ = static_cast<std::uint8_t>(std::atoi(request.target.c_str() + request.target.rfind('/') + 1));
        fetching_.begin(options_.url, options_.tls(), "GET", request.target, "", "");
        break;
    }
  }

  void print_event(const WatchEvent& event) {
    const std::string transport = member("transport", quoted(kTransports[static_cast<int>(event.transport)]));
    switch (event.kind) {
      case WatchEvent::Kind::kConnecting:
        print("connecting", transport);
        break;
      case WatchEvent::Kind::kConnected:
        print("connected", transport);
        break;
      case WatchEvent::Kind::kLost:
        print("lost", transport + "," + member("wait", decimal(static_cast<double>(event.wait) / 1e6)));
        break;
      case WatchEvent::Kind::kReset:
        print("reset", transport);
        break;
      case WatchEvent::Kind::kProgress:
        print("progress", transport + "," + member("progress", describe(watch_.progress(), watch_.failure_reason())));
        break;
      case WatchEvent::Kind::kMaterials:
        if (watch_.materials() != nullptr) {
          print("materials", transport + "," + member("materials", describe(*watch_.materials())));
        }
        break;
      case WatchEvent::Kind::kMessage:
        print_message(event.message, transport);
        break;
      case WatchEvent::Kind::kPosition:
        print("position", transport + "," + describe(watch_.position()));
        break;
      case WatchEvent::Kind::kEnded:
        print("ended", member("result", quoted(kResults[static_cast<int>(watch_.result())])));
        break;
    }
  }

  void show(Time time) {
    craftnet::Bar::Shown shown;
    if (options_.show <= 0 || time < next_shown_ || !watch_.shown(time, shown)) return;
    next_shown_ = time + static_cast<Time>(options_.show * 1e6);
    print("shown", member("percent", decimal(shown.percent)) + "," + member("error", decimal(shown.error)));
  }

  void wait() {
    Waiting waiting;
    waiting.add(datagrams_.descriptor(), false);
    waiting.add(connecting_.stream);
    waiting.add(fetching_.stream);
    waiting.add(websocket_.stream);
    const bool failed = (connecting_.under_way() && connecting_.stream.descriptor() < 0) ||
                        (websocket_open_ && websocket_.stream.descriptor() < 0);
    const Time deadline = options_.show > 0 ? std::min(watch_.deadline(), next_shown_) : watch_.deadline();
    waiting.until(failed ? now() : deadline);
  }

  const Options& options_;
  LoggedCrypto crypto_;
  craftnet::LibLz4 lz4_;
  Watch watch_;
  Datagrams datagrams_;
  Failures failures_;
  Exchange connecting_;
  Exchange fetching_;
  WebSocket websocket_;
  bool websocket_open_ = false;
  std::uint8_t dictionary_ = 0;
  std::vector<std::unique_ptr<std::string>> dictionaries_;
  Time next_shown_;
};

}  // namespace

int follow_one(const Options& options) { return Program(options).run(); }

}  // namespace tools
