// craftnet-watch: follows a session and prints one JSON line an event. It proves the core against a real server.
#include "craftnet/watch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "craftnet/liblz4.h"
#include "craftnet/openssl.h"
#include "craftnet/text.h"
#include "http.h"

namespace {

using craftnet::Time;
using craftnet::Watch;
using craftnet::WatchEvent;
using craftnet::WatchRequest;

volatile std::sig_atomic_t interrupted = 0;

/// Unix time at the start, plus what the monotonic clock has counted since.
Time now() {
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  static const auto start = std::chrono::steady_clock::now();
  static const Time began = duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return began + duration_cast<microseconds>(std::chrono::steady_clock::now() - start).count();
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') out += '\\';
    if (static_cast<unsigned char>(letter) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(letter));
      out += escaped;
    } else {
      out += letter;
    }
  }
  return out + "\"";
}

std::string number(std::uint32_t value) { return value == craftnet::wire::kUnknown ? "null" : std::to_string(value); }
std::string quality(unsigned value) { return value == 0 ? "null" : std::to_string(value); }

std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

const char* kStatuses[] = {"active", "paused", "interrupted", "completed", "failed"};
const char* kProblems[] = {"insufficient_quantity", "quality_too_low", "material_unavailable", "material_restored"};
const char* kTransports[] = {"udp", "ws"};
const char* kResults[] = {"none", "completed", "failed", "over", "refused", "unreachable", "stopped"};

template <typename Problem>
std::string describe_problem(const Problem& problem, craftnet::wire::Problem what) {
  return std::string("{\"problem\":\"") + kProblems[static_cast<int>(what)] +
         "\",\"required_quantity\":" + number(problem.required_quantity) +
         ",\"available_quantity\":" + number(problem.available_quantity) +
         ",\"required_quality\":" + quality(problem.required_quality) +
         ",\"available_quality\":" + quality(problem.available_quality) + "}";
}

std::string describe_table(const craftnet::Table& table) {
  std::string out;
  for (const craftnet::Material& material : table) {
    out += std::string(out.empty() ? "" : ",") + "{\"material_id\":\"" + craftnet::to_text(material.id).data() +
           "\",\"quantity\":" + std::to_string(material.quantity) + ",\"quality\":" + quality(material.quality) +
           ",\"problem\":" + (material.has_problem() ? describe_problem(material, material.problem()) : "null") + "}";
  }
  return "[" + out + "]";
}

std::string describe_progress(const craftnet::Progress& progress, const std::string& reason) {
  return std::string("{\"status\":\"") + kStatuses[static_cast<int>(progress.status)] +
         "\",\"percent\":" + decimal(progress.percent) +
         ",\"remaining\":" + (progress.remaining < 0 ? "null" : decimal(progress.remaining)) +
         ",\"quality\":" + quality(progress.quality) + ",\"target_quality\":" + quality(progress.target_quality) +
         ",\"failure_reason\":" + (reason.empty() ? "null" : quoted(reason)) + "}";
}

void print(const std::string& event, const std::string& more = "") {
  std::printf("{\"event\":\"%s\"%s}\n", event.c_str(), more.empty() ? "" : ("," + more).c_str());
  std::fflush(stdout);
}

struct Options {
  tools::Url url;
  std::string token;
  std::string token_file;
  double show = 0.0;  // seconds between two lines that say what a bar would show; 0: none.
  craftnet::WatchSettings settings;
};

/// The UDP socket, and the addresses of the server.
class Datagrams {
 public:
  ~Datagrams() { close(); }

  /// How many addresses the host has, at most as many as are tried.
  std::size_t open(const std::string& host, std::uint16_t port) {
    close();
    addrinfo hints{};
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return 0;
    for (addrinfo* each = found; each != nullptr; each = each->ai_next) {
      if (each->ai_family != found->ai_family || addresses_.size() == craftnet::Handshake::kMaxServers) continue;
      sockaddr_storage address{};
      std::memcpy(&address, each->ai_addr, each->ai_addrlen);
      addresses_.push_back(address);
      size_ = each->ai_addrlen;
    }
    descriptor_ = socket(found->ai_family, SOCK_DGRAM, 0);
    freeaddrinfo(found);
    if (descriptor_ < 0 || fcntl(descriptor_, F_SETFL, O_NONBLOCK) != 0) return 0;
    return addresses_.size();
  }

  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
    addresses_.clear();
  }

  void send(const std::uint8_t* datagram, std::size_t size, std::size_t server) {
    if (descriptor_ < 0 || server >= addresses_.size()) return;
    const auto* address = reinterpret_cast<const sockaddr*>(&addresses_[server]);
    (void)sendto(descriptor_, datagram, size, 0, address, size_);  // what does not go out is a datagram lost.
  }

  /// The size of the next datagram; 0: there is none.
  std::size_t receive(std::uint8_t* datagram, std::size_t room) {
    const ssize_t size = descriptor_ < 0 ? -1 : recv(descriptor_, datagram, room, 0);
    return size > 0 ? static_cast<std::size_t>(size) : 0;
  }

  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
  socklen_t size_ = 0;
  std::vector<sockaddr_storage> addresses_;
};

/// OpenSSL, and a line in the file that CRAFTNET_KEYLOG names for each key: clients/wireshark reads it.
class LoggedCrypto final : public craftnet::OpenSslCrypto {
 public:
#ifdef CRAFTNET_KEYLOG
  LoggedCrypto() {
    const char* path = std::getenv("CRAFTNET_KEYLOG");
    if (path == nullptr) return;
    file_ = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    std::fprintf(stderr,
                 file_ < 0 ? "CRAFTNET_KEYLOG: cannot write %s\n"
                           : "CRAFTNET_KEYLOG: anyone who reads %s can read these connections\n",
                 path);
  }
  LoggedCrypto(const LoggedCrypto&) = delete;
  LoggedCrypto& operator=(const LoggedCrypto&) = delete;
  ~LoggedCrypto() override {
    if (file_ >= 0) close(file_);
  }

  void key_made(std::uint32_t connection_id, craftnet::Sender sender,
                const craftnet::Generation& generation) noexcept override {
    if (file_ < 0) return;
    std::string line(64, '\0');
    const char* name = sender == craftnet::Sender::kClient ? "client" : "server";
    line.resize(static_cast<std::size_t>(
        std::snprintf(line.data(), line.size(), "CRAFTNET_UDP_1 %08x %s %u ", connection_id, name, generation.number)));
    append_hex(line, generation.key.data(), generation.key.size());
    line += ' ';
    append_hex(line, generation.iv.data(), generation.iv.size());
    line += '\n';
    (void)!write(file_, line.data(), line.size());
  }

 private:
  static void append_hex(std::string& line, const std::uint8_t* octets, std::size_t size) {
    for (std::size_t k = 0; k < size; ++k) {
      line += "0123456789abcdef"[octets[k] >> 4];
      line += "0123456789abcdef"[octets[k] & 15U];
    }
  }

  int file_ = -1;
#endif
};

class Program {
 public:
  explicit Program(const Options& options)
      : options_(options), watch_(crypto_, lz4_, options.settings, now()), next_shown_(now()) {}

  int run() {
    while (!done()) {
      step();
      wait();
      if (interrupted != 0) watch_.stop(now());
    }
    return watch_.result() == Watch::Result::kRefused || watch_.result() == Watch::Result::kUnreachable ? 1 : 0;
  }

 private:
  /// Whether everything was said, and the last datagram is out.
  bool done() {
    if (watch_.result() == Watch::Result::kNone) return false;
    step();
    return true;
  }

  void step() {
    const Time time = now();
    receive(time);
    watch_.tick(time);
    WatchRequest request;
    while (watch_.next_request(request)) perform(request);
    send();
    WatchEvent event;
    while (watch_.poll(event)) print_event(event);
    show(time);
  }

  void receive(Time time) {
    static std::uint8_t datagram[65536];
    for (std::size_t size = 0; (size = datagrams_.receive(datagram, sizeof datagram)) > 0;) {
      watch_.datagram(datagram, size, time);
    }
    tools::Answer answer;
    if (connecting_.under_way() && connecting_.pump(answer)) {
      watch_.connect_answered(answer.status, answer.body, std::atof(answer.header("retry-after").c_str()), time);
    }
    if (fetching_.under_way() && fetching_.pump(answer) && answer.status == 200) {
      dictionaries_.push_back(std::make_unique<std::string>(answer.body));
      const std::string& octets = *dictionaries_.back();
      watch_.dictionary(dictionary_, {reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()});
    }
    read_websocket(time);
  }

  void read_websocket(Time time) {
    using Event = tools::WebSocket::Event;
    if (!websocket_open_) return;
    const bool gone = !websocket_.pump();
    for (Event event = Event::kNone; websocket_open_ && (event = websocket_.next(gone)) != Event::kNone;) {
      const std::string& message = websocket_.message;
      switch (event) {
        case Event::kOpened:
          watch_.websocket_opened(websocket_.answer.header("sec-websocket-protocol"), time);
          break;
        case Event::kRefused:
          websocket_open_ = false;
          watch_.websocket_refused(websocket_.answer.status, std::atof(websocket_.answer.header("retry-after").c_str()),
                                   time);
          break;
        case Event::kText:
          watch_.websocket_text(message, time);
          break;
        case Event::kBinary:
          watch_.websocket_binary({reinterpret_cast<const std::uint8_t*>(message.data()), message.size()}, time);
          break;
        default:
          websocket_open_ = false;
          watch_.websocket_closed(websocket_.code, websocket_.reason, time);
      }
    }
  }

  void perform(const WatchRequest& request) {
    switch (request.kind) {
      case WatchRequest::Kind::kToken:
        give_token();
        break;
      case WatchRequest::Kind::kConnect:
        connecting_.begin(options_.url, "POST", request.target, watch_.bearer(), request.body);
        break;
      case WatchRequest::Kind::kResolve:
        watch_.resolved(datagrams_.open(request.target, request.port), now());
        break;
      case WatchRequest::Kind::kCloseUdp:
        datagrams_.close();
        break;
      case WatchRequest::Kind::kOpenWebSocket:
        websocket_open_ = true;
        websocket_.open(options_.url, request.target, watch_.bearer(), request.protocols);
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
        fetching_.begin(options_.url, "GET", request.target, "", "");
        break;
    }
  }

  void give_token() {
    std::string token = options_.token;
    if (!options_.token_file.empty()) {
      std::FILE* file = std::fopen(options_.token_file.c_str(), "r");
      char buffer[16384];
      const std::size_t size = file == nullptr ? 0 : std::fread(buffer, 1, sizeof buffer, file);
      if (file != nullptr) std::fclose(file);
      token.assign(buffer, size);
      while (!token.empty() && (token.back() == '\n' || token.back() == ' ')) token.pop_back();
    }
    if (token.empty()) {
      watch_.no_token(now());
    } else {
      watch_.token(token, now());
    }
  }

  void send() {
    std::uint8_t datagram[craftnet::UdpClient::kRoom];
    for (std::size_t size = 0; (size = watch_.transmit(now(), datagram)) > 0;) {
      datagrams_.send(datagram, size, watch_.server());
    }
  }

  void print_event(const WatchEvent& event) {
    const std::string over = std::string("\"transport\":\"") + kTransports[static_cast<int>(event.transport)] + "\"";
    switch (event.kind) {
      case WatchEvent::Kind::kConnecting:
        print("connecting", over);
        break;
      case WatchEvent::Kind::kConnected:
        print("connected", over);
        break;
      case WatchEvent::Kind::kLost:
        print("lost", over + ",\"wait\":" + decimal(static_cast<double>(event.wait) / 1e6));
        break;
      case WatchEvent::Kind::kReset:
        print("reset", over);
        break;
      case WatchEvent::Kind::kProgress:
        print("progress", over + ",\"progress\":" + describe_progress(watch_.progress(), watch_.failure_reason()));
        break;
      case WatchEvent::Kind::kMaterials:
        if (watch_.materials() != nullptr)
          print("materials", over + ",\"materials\":" + describe_table(*watch_.materials()));
        break;
      case WatchEvent::Kind::kMessage:
        print_message(event.message, over);
        break;
      case WatchEvent::Kind::kPosition:
        print("position", over + ",\"epoch\":" + quoted(watch_.position().epoch) +
                              ",\"version\":" + std::to_string(watch_.position().version));
        break;
      case WatchEvent::Kind::kEnded:
        print("ended", std::string("\"result\":\"") + kResults[static_cast<int>(watch_.result())] + "\"");
        break;
    }
  }

  static void print_message(const craftnet::FeedMessage& message, const std::string& over) {
    if (message.has_material) {
      print("material", over + ",\"material_id\":\"" + craftnet::to_text(message.material.material_id).data() +
                            "\",\"problem\":" + describe_problem(message.material, message.material.problem));
    }
    if (message.has_queue) {
      print("queue", over + ",\"position\":" + number(message.queue.position) +
                         ",\"total\":" + number(message.queue.total) +
                         ",\"estimated_wait_seconds\":" + number(message.queue.estimated_wait_seconds));
    }
    for (const craftnet::wire::ChangeRow& change : message.changes) {
      print("change", over + ",\"material_id\":\"" + craftnet::to_text(change.material_id).data() +
                          "\",\"quantity\":" + number(change.quantity) + ",\"quality\":" + quality(change.quality));
    }
  }

  void show(Time time) {
    craftnet::Bar::Shown shown;
    if (options_.show <= 0 || time < next_shown_ || !watch_.shown(time, shown)) return;
    next_shown_ = time + static_cast<Time>(options_.show * 1e6);
    print("shown", "\"percent\":" + decimal(shown.percent) + ",\"error\":" + decimal(shown.error));
  }

  void wait() {
    std::vector<pollfd> polled;
    const auto add = [&polled](int descriptor, bool writes) {
      if (descriptor >= 0) polled.push_back({descriptor, static_cast<short>(POLLIN | (writes ? POLLOUT : 0)), 0});
    };
    add(datagrams_.descriptor(), false);
    add(connecting_.stream.descriptor(), connecting_.stream.wants_to_write());
    add(fetching_.stream.descriptor(), fetching_.stream.wants_to_write());
    add(websocket_.stream.descriptor(), websocket_.stream.wants_to_write());
    const Time deadline = options_.show > 0 ? std::min(watch_.deadline(), next_shown_) : watch_.deadline();
    const Time left = std::max<Time>(0, std::min<Time>(deadline - now(), 1000000));
    const bool at_once = connecting_.under_way() && connecting_.stream.descriptor() < 0;
    const bool failed = websocket_open_ && websocket_.stream.descriptor() < 0;
    (void)poll(polled.data(), polled.size(), at_once || failed ? 0 : static_cast<int>((left + 999) / 1000));
  }

  Options options_;
  LoggedCrypto crypto_;
  craftnet::LibLz4 lz4_;
  Watch watch_;
  Datagrams datagrams_;
  tools::Exchange connecting_;
  tools::Exchange fetching_;
  tools::WebSocket websocket_;
  bool websocket_open_ = false;
  std::uint8_t dictionary_ = 0;
  std::vector<std::unique_ptr<std::string>> dictionaries_;
  Time next_shown_;
};

constexpr const char* kUsage =
    "usage: craftnet-watch --url http://HOST:PORT --session UUID --player UUID [--token JWT | --token-file FILE]\n"
    "                      [--transport auto|udp|ws] [--subprotocol bin|lz4|json] [--compression lz4|none] [--show "
    "SECONDS]\n"
    "The token may be in CRAFTNET_TOKEN, too. Each event is a line of JSON.\n";

bool parse(int count, char** words, Options& options) {
  std::map<std::string, std::string> given;
  for (int k = 1; k + 1 < count; k += 2) given[words[k]] = words[k + 1];
  const char* environment = std::getenv("CRAFTNET_TOKEN");
  options.token = given.count("--token") != 0 ? given["--token"] : environment != nullptr ? environment : "";
  options.token_file = given["--token-file"];
  options.show = std::atof(given["--show"].c_str());
  const std::string transport = given["--transport"];
  options.settings.udp = transport != "ws";
  options.settings.websocket = transport != "udp";
  const std::string subprotocol = given["--subprotocol"];
  if (subprotocol == "lz4") options.settings.subprotocol = craftnet::Subprotocol::kLz4;
  if (subprotocol == "json") options.settings.subprotocol = craftnet::Subprotocol::kJson;
  options.settings.lz4 = given["--compression"] != "none";
  return count % 2 == 1 && options.url.parse(given["--url"]) &&
         (!options.token.empty() || !options.token_file.empty()) &&
         craftnet::parse_uuid(given["--session"], options.settings.session) &&
         craftnet::parse_uuid(given["--player"], options.settings.player);
}

}  // namespace

int main(int count, char** words) {
  Options options;
  if (!parse(count, words, options)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  return Program(options).run();
}
