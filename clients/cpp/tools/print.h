// The lines of JSON that craftnet-watch prints.
#pragma once

#include <string>

#include "craftnet/feed_message.h"
#include "craftnet/materials.h"
#include "craftnet/progress.h"
#include "craftnet/session.h"

namespace tools {

/// Prints an event with these members, which are JSON.
void print(const std::string& event, const std::string& members = "");

/// One member: a name, and a value that is JSON.
std::string member(const char* name, const std::string& value);

std::string quoted(const std::string& text);
std::string decimal(double value);

std::string describe(const craftnet::Table& table);
std::string describe(const craftnet::Progress& progress, const std::string& reason);

/// The members `epoch` and `version`.
std::string describe(const craftnet::Position& position);

/// Prints what a message of a WebSocket says of materials and queues; `members` are those of each event.
void print_message(const craftnet::FeedMessage& message, const std::string& members);

}  // namespace tools
