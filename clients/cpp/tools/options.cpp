#include "options.h"

#include <cstdio>
#include <cstdlib>

#include "craftnet/text.h"

namespace tools {

namespace {

constexpr const char* kUsage =
    "usage: craftnet-watch --url URL --session UUID… --player UUID [--token JWT | --token-file FILE]\n";

constexpr const char* kHelp =
    "\nFollows crafting sessions and prints a line of JSON for each event.\n\n"
    "  --url URL              the service: http://HOST:PORT or https://HOST:PORT, with its base path if it has one\n"
    "  --session UUID         the session; give it several times to follow several over one UDP connection\n"
    "  --player UUID          their player\n"
    "  --token JWT            bearer token; the default is the variable CRAFTNET_TOKEN\n"
    "  --token-file FILE      file with the token, read again whenever a fresh one is needed\n"
    "  --ca FILE              trust the certificates in this PEM file, instead of the system's (https)\n"
    "  --transport NAME       auto (default): UDP, and WebSocket while that does not work; udp; ws. Several sessions\n"
    "                         need UDP\n"
    "  --subprotocol NAME     of the WebSocket: bin (default), lz4 or json\n"
    "  --compression NAME     over UDP: lz4 (default) or none\n"
    "  --udp-timeout SECONDS  use WebSocket when no datagram has arrived by then (default 3)\n"
    "  --udp-retry SECONDS    over WebSocket, try UDP again after this time, then after twice as long (default 30)\n"
    "  --show SECONDS         print what a progress bar shows this often; 0 (default): never\n"
    "\nThe exit status is 1 when a session is refused or the service is unreachable, and 2 for a wrong command line.\n";

/// Where `value` is in a list of words; -1: it is not in it, and `fault` says what is.
int choice(const std::string& name, const std::string& value, std::initializer_list<const char*> words,
           std::string& fault) {
  int at = 0;
  std::string listed;
  for (const char* word : words) {
    if (value == word) return at;
    listed += (at++ == 0 ? "" : ", ") + std::string(word);
  }
  fault = name + " must be one of " + listed + ", got " + value;
  return -1;
}

/// The value of an option in seconds; 0, and a fault, for anything but 0 to a day.
double seconds(const std::string& name, const std::string& value, std::string& fault) {
  constexpr double kDay = 86400;
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  if (!value.empty() && *end == '\0' && number >= 0 && number <= kDay) return number;
  fault = name + " must be a number of seconds, 0 to 86400, got " + value;
  return 0;
}

craftnet::Time time_of(const std::string& name, const std::string& value, std::string& fault) {
  return static_cast<craftnet::Time>(seconds(name, value, fault) * static_cast<double>(craftnet::kSecond));
}

}  // namespace

bool Options::take(const std::string& name, const std::string& value, std::string& fault) {
  if (name == "--url") {
    if (!url.parse(value)) fault = "--url must be http://HOST:PORT or https://HOST:PORT, got " + value;
  } else if (name == "--session") {
    sessions.emplace_back();
    if (!craftnet::parse_uuid(value, sessions.back())) fault = "--session must be a UUID, got " + value;
  } else if (name == "--player") {
    if (!craftnet::parse_uuid(value, settings.player)) fault = "--player must be a UUID, got " + value;
  } else if (name == "--token") {
    token = value;
  } else if (name == "--token-file") {
    token_file = value;
  } else if (name == "--ca") {
    if (!authorities.load(value)) fault = "--ca must be a file of certificates in PEM, got " + value;
  } else if (name == "--transport") {
    const int chosen = choice(name, value, {"auto", "udp", "ws"}, fault);
    settings.udp = chosen != 2;
    settings.websocket = chosen != 1;
  } else if (name == "--subprotocol") {
    const int chosen = choice(name, value, {"json", "lz4", "bin"}, fault);
    settings.subprotocol = static_cast<craftnet::Subprotocol>(chosen < 0 ? 0 : chosen);
  } else if (name == "--compression") {
    settings.lz4 = choice(name, value, {"lz4", "none"}, fault) == 0;
  } else if (name == "--udp-timeout") {
    settings.udp_timeout = time_of(name, value, fault);
  } else if (name == "--udp-retry") {
    settings.udp_retry = time_of(name, value, fault);
  } else if (name == "--show") {
    show = seconds(name, value, fault);
  } else {
    fault = "there is no option " + name;
  }
  return fault.empty();
}

int Options::parse(int count, char** words) {
  std::string fault;
  const char* environment = std::getenv("CRAFTNET_TOKEN");
  token = environment != nullptr ? environment : "";
  for (int k = 1; k < count && fault.empty(); ++k) {
    std::string name = words[k];
    if (name == "--help" || name == "-h") {
      std::fputs(kUsage, stdout);
      std::fputs(kHelp, stdout);
      return 0;
    }
    std::string value;
    const std::size_t equals = name.find('=');
    if (equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (++k < count) {
      value = words[k];
    } else {
      fault = name + " needs a value";
    }
    if (fault.empty()) take(name, value, fault);
  }
  if (!fault.empty()) {
  } else if (url.host.empty()) {
    fault = "--url is missing";
  } else if (sessions.empty()) {
    fault = "--session is missing";
  } else if (settings.player == craftnet::Uuid{}) {
    fault = "--player is missing";
  } else if (token.empty() && token_file.empty()) {
    fault = "a token is missing: give --token, --token-file or the variable CRAFTNET_TOKEN";
  } else if (sessions.size() > 1 && !settings.udp) {
    fault = "several sessions share a UDP connection: start one program for each session with --transport ws";
  } else if (url.tls && authorities.context() == nullptr && !authorities.load("")) {
    fault = "the system's certificates cannot be loaded: name a file with --ca";
  }
  if (fault.empty()) {
    settings.session = sessions.front();
    return -1;
  }
  std::fprintf(stderr, "%scraftnet-watch: %s (--help lists all options)\n", kUsage, fault.c_str());
  return 2;
}

std::string Options::bearer() const {
  if (token_file.empty()) return token;
  std::FILE* file = std::fopen(token_file.c_str(), "r");
  if (file == nullptr) {
    std::fprintf(stderr, "craftnet-watch: cannot read %s\n", token_file.c_str());
    return "";
  }
  char buffer[16384];
  std::string text(buffer, std::fread(buffer, 1, sizeof buffer, file));
  std::fclose(file);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace tools
