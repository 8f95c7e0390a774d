#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

#include "backends/footprint.h"

namespace reprise::backends {

/// Keeps what was compiled for the next call that needs it, within limits. Thread-safe.
///
/// What each owner used last stays while free memory allows; of everything else together, what was used least
/// recently goes first once it is beyond the limit. What anybody holds is never dropped, and is counted.
class Store {
  public:
    struct Limits {
        double bytes = 0;     ///< of what is in no use and was not an owner's last
        double mappings = 0;  ///< of all that is held
    };
    explicit Store(Limits limits) : limits_(limits) {}
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// The process's: memory and mappings are the process's too.
    static Store& of_process();

    Limits limits() const;
    void limit(Limits limits);

    struct Held {
        std::size_t count = 0;
        Footprint footprint;
    };
    Held held() const;

    using Item = std::shared_ptr<const void>;

    /// What one owner has in a store; dropped with it.
    class Share {
      public:
        explicit Share(Store& store = of_process()) : store_(&store) {}
        Share(Share&& other) noexcept : store_(other.store_), id_(other.id_) { other.id_ = 0; }
        Share& operator=(Share&&) = delete;
        ~Share() { clear(); }

        /// Makes room, then the item, and keeps it as the one used last. Error (failure) when the process
        /// would run out of memory mappings.
        template <class T>
        std::shared_ptr<const T> keep(const Footprint& footprint,
                                      const std::function<std::shared_ptr<const T>()>& make) {
            return std::static_pointer_cast<const T>(
                store_->keep(id_, footprint, [&] { return std::static_pointer_cast<const void>(make()); }));
        }
        /// Says that the item, still kept or not, is the one used last.
        void use(const Item& item) { store_->use(id_, item); }
        void drop(const void* item) { store_->drop(id_, item); }
        void clear() { store_->drop(id_, nullptr); }
        Held held() const { return store_->held(id_); }

      private:
        Store* store_;
        std::uint64_t id_ = next_id();
    };

  private:
    struct Entry {
        std::uint64_t owner = 0;
        Footprint footprint;
        Item item;  ///< null while it is being made
        bool is_idle() const { return item && item.use_count() == 1; }
    };
    using Entries = std::list<Entry>;

    static std::uint64_t next_id();
    Item keep(std::uint64_t owner, const Footprint& footprint, const std::function<Item()>& make);
    void use(std::uint64_t owner, const Item& item);
    void drop(std::uint64_t owner, const void* item);
    Held held(std::optional<std::uint64_t> owner) const;
    Entries room_for(std::uint64_t owner, const Footprint& wanted);
    Entries idle();
    bool was_last_of_another(Entries::const_iterator entry, std::uint64_t owner) const;
    Footprint total() const;

    Limits limits_;
    mutable std::mutex mutex_;
    Entries entries_;  ///< the one used last at the end
};

}  // namespace reprise::backends
