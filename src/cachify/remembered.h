#pragma once

#include "reprise/cachify.h"

namespace reprise::cachify {

/// The configuration with functions that ask the user's functions once for each name and each step, and
/// remember the answers. Its copies share them. Not thread-safe: it is for one call.
Config remembered(Config config);

}  // namespace reprise::cachify
