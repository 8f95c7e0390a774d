#pragma once

#include <string>

// Quantities for people.
namespace reprise {

/// "1.2 MB", "850 B": powers of 1000, three digits at most before the unit.
std::string human_bytes(double bytes);
/// "12.3 GFLOP".
std::string human_flops(double flops);
/// "2.57 B", "11.7 M", "850": a count of things.
std::string human_count(double count);
/// "0.84 ms", "1.9 s", "3 min 20 s".
std::string human_seconds(double seconds);
/// "37 %"; below ten one decimal: "5.1 %".
std::string percent(double share);

}  // namespace reprise
