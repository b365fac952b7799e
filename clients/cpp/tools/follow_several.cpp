#include <algorithm>
#include <cstdlib>
#include <memory>

#include "craftnet/connect.h"
#include "craftnet/liblz4.h"
#include "craftnet/reconnect.h"
#include "craftnet/text.h"
#include "craftnet/udp_client.h"
#include "datagrams.h"
#include "follow.h"
#include "http.h"
#include "print.h"

namespace tools {

namespace {

using craftnet::kNever;
using craftnet::kSecond;
using craftnet::Time;
using craftnet::UdpEvent;
using craftnet::Verdict;

constexpr Time kTimeout = 60 * kSecond;       // without contact, after which it gives up.
constexpr Time kReasonTimeout = 2 * kSecond;  // for the reason of a failed craft.
constexpr int kOk = 200;

/// One of the sessions.
struct Followed {
  craftnet::Uuid id{};
  int index = -1;  // on the connection; -1: not joined.
  bool over = false;
  Time ask_at = 0;          // when …/connect is due for it.
  Time failed_at = kNever;  // when it failed; its reason may still arrive.
};

/// The sessions share one connection. The first one that is not over opens it, and the others join.
class Program {
 public:
  explicit Program(const Options& options) : options_(options), backoff_(crypto_), contact_at_(now()) {
    for (const craftnet::Uuid& id : options.sessions) {
      sessions_.emplace_back();
      sessions_.back().id = id;
    }
    next_shown_ = contact_at_;
    print("connecting", transport());
  }

  int run() {
    step();
    while (!all_over()) {
      wait();
      if (interrupted != 0) end_all("stopped");
      step();
    }
    if (client_ != nullptr) client_->close();
    transmit();
    return status_;
  }

 private:
  static std::string transport() { return member("transport", quoted("udp")); }

  static std::string named(const Followed& session) {
    return transport() + "," + member("session", quoted(craftnet::to_text(session.id).data()));
  }

  [[nodiscard]] bool all_over() const {
    return std::all_of(sessions_.begin(), sessions_.end(), [](const Followed& session) { return session.over; });
  }

  void step() {
    const Time time = now();
    static std::uint8_t datagram[65536];
    for (std::size_t size = 0; client_ != nullptr && (size = datagrams_.receive(datagram, sizeof datagram)) > 0;) {
      (void)client_->receive(datagram, size, time);
    }
    Answer answer;
    if (connecting_.under_way() && connecting_.pump(answer)) answered(answer, time);
    transmit();
    read_events(time);
    for (Followed& session : sessions_) {
      if (time >= session.failed_at) finish(session, "failed");
    }
    ask(time);
    show(time);
  }

  void transmit() {
    std::uint8_t datagram[craftnet::UdpClient::kRoom];
    for (std::size_t size = 0; client_ != nullptr && (size = client_->transmit(now(), datagram)) > 0;) {
      datagrams_.send(datagram, size, client_->server());
    }
  }

  /// Sends …/connect for the next session that needs it.
  void ask(Time time) {
    if (connecting_.under_way() || (client_ != nullptr && !client_->connected())) return;
    for (Followed& session : sessions_) {
      if (session.over || session.index >= 0 || time < session.ask_at) continue;
      asked_ = &session;
      const craftnet::SessionToken* connection = client_ != nullptr ? &client_->session_token() : nullptr;
      const std::string body =
          craftnet::connect_body(options_.settings.player, options_.settings.lz4, connection, options_.settings.region);
      const std::string target = craftnet::connect_target(session.id);
      connecting_.begin(options_.url, options_.tls(), "POST", target, options_.bearer(), body);
      return;
    }
  }

  void answered(const Answer& answer, Time time) {
    failures_.report(options_.url, connecting_.stream.failure());
    Followed& session = *asked_;
    if (session.over) return;
    if (answer.status != 0) contact_at_ = time;
    craftnet::ConnectAnswer agreed;
    if (answer.status == kOk && craftnet::parse_connect_answer(answer.body, agreed)) {
      client_ == nullptr ? open(session, agreed, time) : join(session, agreed, time);
      return;
    }
    const Verdict verdict = craftnet::verdict_of_status(answer.status, std::atof(answer.header("retry-after").c_str()));
    if (verdict.kind == Verdict::Kind::kRefused || verdict.kind == Verdict::Kind::kStale) {
      finish(session, "refused");
    } else if (client_ == nullptr) {
      lose(verdict, time);
    } else {
      session.ask_at = time + std::max(verdict.after, kSecond);
    }
  }

  void open(Followed& session, craftnet::ConnectAnswer& agreed, Time time) {
    agreed.agreement.servers = datagrams_.open(agreed.host, agreed.port);
    if (agreed.agreement.servers == 0) {
      lose({}, time);
      return;
    }
    client_ = std::make_unique<craftnet::UdpClient>(crypto_, lz4_, agreed.agreement, time);
    session.index = agreed.session_index;
    client_->session(agreed.session_index)->smooth(options_.settings.smoothing);
  }

  void join(Followed& session, const craftnet::ConnectAnswer& agreed, Time time) {
    if (agreed.agreement.token.connection_id != client_->session_token().connection_id) {
      session.ask_at = time + kSecond;  // the server does not know this connection any more.
      return;
    }
    session.index = agreed.session_index;
    client_->join(agreed.session_index);
    craftnet::Session& joined = *client_->session(agreed.session_index);
    joined.smooth(options_.settings.smoothing);
    print("joined", named(session) + "," + member("index", std::to_string(session.index)));
    if (joined.has_progress()) read_event({UdpEvent::Kind::kProgress, agreed.session_index}, time);
    if (joined.materials().has_table()) read_event({UdpEvent::Kind::kMaterials, agreed.session_index}, time);
    if (joined.over()) read_event({UdpEvent::Kind::kSessionOver, agreed.session_index}, time);
  }

  void read_events(Time time) {
    UdpEvent event;
    while (client_ != nullptr && client_->poll(event)) read_event(event, time);
  }

  void read_event(const UdpEvent& event, Time time) {
    contact_at_ = time;
    if (event.kind == UdpEvent::Kind::kConnected) {
      backoff_.opened(time);
      print("connected", transport());
      return;
    }
    if (event.kind == UdpEvent::Kind::kEnded) {
      ended(time);
      return;
    }
    for (Followed& session : sessions_) {
      if (session.index == event.session && !session.over) read_event_of(session, event.kind, time);
    }
  }

  void read_event_of(Followed& session, UdpEvent::Kind kind, Time time) {
    craftnet::Session& state = *client_->session(static_cast<std::uint8_t>(session.index));
    const std::string reason(state.failure_reason());
    switch (kind) {
      case UdpEvent::Kind::kProgress:
        print("progress", named(session) + "," + member("progress", describe(state.progress(), reason)));
        if (state.progress().status == craftnet::wire::Status::kCompleted) finish(session, "completed");
        if (state.progress().status != craftnet::wire::Status::kFailed) break;
        session.failed_at = reason.empty() ? std::min(session.failed_at, time + kReasonTimeout) : time;
        break;
      case UdpEvent::Kind::kMaterials:
        print("materials", named(session) + "," + member("materials", describe(state.materials().table())));
        break;
      case UdpEvent::Kind::kPosition:
        print("position", named(session) + "," + describe(state.position()));
        break;
      case UdpEvent::Kind::kSessionOver: {
        const Verdict verdict = craftnet::verdict_of_reason(state.over_reason());
        finish(session, verdict.kind == Verdict::Kind::kOver ? "over" : "refused");
        break;
      }
      default:
        break;
    }
  }

  void ended(Time time) {
    const bool closed = client_->ending() == craftnet::Ending::kClosed;
    const Verdict verdict = closed ? craftnet::verdict_of_reason(client_->close_reason()) : Verdict{};
    transmit();  // the acknowledgement of CLOSE.
    if (verdict.kind == Verdict::Kind::kLost || verdict.kind == Verdict::Kind::kStale) {
      lose(verdict, time);
    } else {
      end_all(verdict.kind == Verdict::Kind::kOver ? "over" : "refused");
    }
  }

  /// Starts over with another connection, later.
  void lose(const Verdict& verdict, Time time) {
    client_.reset();
    datagrams_.close();
    backoff_.ended(time);
    const Time wait = verdict.after + backoff_.next();
    if (time + wait - contact_at_ > kTimeout) {
      end_all("unreachable");
      return;
    }
    print("lost", transport() + "," + member("wait", decimal(static_cast<double>(wait) / 1e6)));
    for (Followed& session : sessions_) {
      session.index = -1;
      session.ask_at = time + wait;
    }
  }

  void finish(Followed& session, const std::string& result) {
    if (session.over) return;
    session.over = true;
    session.failed_at = kNever;
    print("ended", named(session) + "," + member("result", quoted(result)));
    if (result == "refused" || result == "unreachable") status_ = 1;
    if (client_ != nullptr && session.index >= 0) client_->leave(static_cast<std::uint8_t>(session.index), now());
  }

  void end_all(const std::string& result) {
    for (Followed& session : sessions_) finish(session, result);
  }

  void show(Time time) {
    if (options_.show <= 0 || time < next_shown_ || client_ == nullptr) return;
    next_shown_ = time + static_cast<Time>(options_.show * 1e6);
    craftnet::Bar::Shown shown;
    for (const Followed& session : sessions_) {
      if (session.over || session.index < 0) continue;
      if (!client_->shown(static_cast<std::uint8_t>(session.index), time, shown)) continue;
      print("shown", named(session) + "," + member("percent", decimal(shown.percent)) + "," +
                         member("error", decimal(shown.error)));
    }
  }

  void wait() {
    Waiting waiting;
    waiting.add(datagrams_.descriptor(), false);
    waiting.add(connecting_.stream);
    Time deadline = client_ == nullptr ? kNever : client_->deadline();
    for (const Followed& session : sessions_) {
      deadline = std::min(deadline, session.failed_at);
      const bool asks = !session.over && session.index < 0 && !connecting_.under_way();
      if (asks && (client_ == nullptr || client_->connected())) deadline = std::min(deadline, session.ask_at);
    }
    if (options_.show > 0 && client_ != nullptr) deadline = std::min(deadline, next_shown_);
    const bool failed = connecting_.under_way() && connecting_.stream.descriptor() < 0;
    waiting.until(failed ? now() : deadline);
  }

  const Options& options_;
  LoggedCrypto crypto_;
  craftnet::LibLz4 lz4_;
  craftnet::Backoff backoff_;
  std::unique_ptr<craftnet::UdpClient> client_;
  Datagrams datagrams_;
  Failures failures_;
  Exchange connecting_;
  Followed* asked_ = nullptr;  // of `connecting_`.
  std::vector<Followed> sessions_;
  Time contact_at_;
  Time next_shown_ = 0;
  int status_ = 0;
};

}  // namespace

int follow_several(const Options& options) { return Program(options).run(); }

}  // namespace tools
