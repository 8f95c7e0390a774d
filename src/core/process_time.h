#pragma once

namespace reprise {

/// What a process has used, in seconds. Only differences mean something.
struct ProcessTime {
    double wall = 0;
    double cpu = 0;  ///< of all threads
    double waited =
        0;  ///< that its threads were ready to run but had no CPU; 0 where the system does not say

    friend ProcessTime operator-(const ProcessTime& end, const ProcessTime& begin) {
        return {end.wall - begin.wall, end.cpu - begin.cpu, end.waited - begin.waited};
    }
};

/// Now. Threads that ended since an earlier call are not in `waited`, those that last are.
ProcessTime process_time();

}  // namespace reprise
