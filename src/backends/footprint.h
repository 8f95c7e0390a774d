#pragma once

namespace reprise::backends {

/// What a compiled graph takes of the process for as long as it is held, scratch memory not counted.
struct Footprint {
    double bytes = 0;
    double mappings = 0;  ///< of memory, of which the system allows a process so many

    Footprint& operator+=(const Footprint& other) {
        bytes += other.bytes;
        mappings += other.mappings;
        return *this;
    }
};

}  // namespace reprise::backends
