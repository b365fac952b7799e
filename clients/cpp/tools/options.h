// The command line of craftnet-watch.
#pragma once

#include <string>
#include <vector>

#include "craftnet/watch.h"
#include "http.h"
#include "stream.h"

namespace tools {

struct Options {
  Url url;
  Authorities authorities;  // for https.
  std::vector<craftnet::Uuid> sessions;
  std::string token;
  std::string token_file;
  double show = 0.0;  // seconds between two `shown` events; 0: none.
  craftnet::WatchSettings settings;

  /// Reads the command line. -1, or the exit status when the program has nothing more to do: what was wrong, or the
  /// help, is printed.
  int parse(int count, char** words);

  /// The bearer token, read again from its file; empty when there is none.
  [[nodiscard]] std::string bearer() const;

  /// Whom a connection to the URL trusts; null without TLS.
  [[nodiscard]] const Authorities* tls() const { return url.tls ? &authorities : nullptr; }

 private:
  bool take(const std::string& name, const std::string& value, std::string& fault);
};

}  // namespace tools
