//===- ThreadPoolTest.cpp - Contexts and their threads --------------------===//

#include "ssmrt/ssmrt.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cfenv>
#include <mutex>
#include <set>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

/// Owns a context.
struct Context {
  explicit Context(uint32_t threads) {
    EXPECT_EQ(ssmrt_context_create(threads, &context), SSMRT_OK)
        << ssmrt_last_error();
  }
  ~Context() { ssmrt_context_destroy(context); }
  Context(const Context &) = delete;
  Context &operator=(const Context &) = delete;

  template <typename Body>
  void parallelFor(int64_t count, int64_t cost, Body body) {
    context->parallel_for(
        context,
        [](void *closure, int64_t begin, int64_t end) {
          (*static_cast<Body *>(closure))(begin, end);
        },
        &body, count, cost);
  }

  ssmrt_context *context = nullptr;
};

class ThreadPool : public testing::TestWithParam<uint32_t> {};

TEST_P(ThreadPool, EveryItemOnce) {
  Context pool(GetParam());
  for (int64_t cost : {0, 1, 10000, 1000000})
    for (int64_t count : {0, 1, 2, 3, 7, 64, 1000}) {
      std::vector<std::atomic<int>> seen(count);
      pool.parallelFor(count, cost, [&](int64_t begin, int64_t end) {
        EXPECT_LT(begin, end);
        for (int64_t i = begin; i < end; ++i)
          seen[i].fetch_add(1);
      });
      for (int64_t i = 0; i < count; ++i)
        EXPECT_EQ(seen[i].load(), 1) << "item " << i << " of " << count;
    }
}

TEST_P(ThreadPool, SameResults) {
  Context pool(GetParam());
  std::vector<double> values(1001);
  pool.parallelFor(values.size(), 0, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      values[i] = 1.0 / (i + 1);
  });
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[i], 1.0 / (i + 1));
}

TEST_P(ThreadPool, ManyTinyDispatches) {
  Context pool(GetParam());
  std::vector<int64_t> sums(16);
  for (int round = 0; round < 5000; ++round)
    pool.parallelFor(sums.size(), 0, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        sums[i] += i;
    });
  for (size_t i = 0; i < sums.size(); ++i)
    EXPECT_EQ(sums[i], static_cast<int64_t>(5000 * i));
}

TEST_P(ThreadPool, WakesAfterSleeping) {
  Context pool(GetParam());
  std::atomic<int64_t> sum{0};
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    pool.parallelFor(100, 0, [&](int64_t begin, int64_t end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      sum += end - begin;
    });
  }
  EXPECT_EQ(sum.load(), 500);
}

TEST_P(ThreadPool, NestedCallsRunInline) {
  Context pool(GetParam());
  std::atomic<int64_t> sum{0};
  pool.parallelFor(8, 0, [&](int64_t begin, int64_t end) {
    std::thread::id outer = std::this_thread::get_id();
    for (int64_t i = begin; i < end; ++i)
      pool.parallelFor(10, 0, [&](int64_t first, int64_t last) {
        EXPECT_EQ(std::this_thread::get_id(), outer);
        sum += last - first;
      });
  });
  EXPECT_EQ(sum.load(), 80);
}

TEST_P(ThreadPool, TwoCallersOfOneContext) {
  Context pool(GetParam());
  std::atomic<int64_t> sum{0};
  auto call = [&] {
    for (int round = 0; round < 300; ++round)
      pool.parallelFor(10, 0, [&](int64_t begin, int64_t end) {
        sum += end - begin;
      });
  };
  std::thread other(call);
  call();
  other.join();
  EXPECT_EQ(sum.load(), 6000);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPool, testing::Values(1, 2, 3, 8));

TEST(ThreadPoolTest, TwoContexts) {
  auto call = [] {
    Context pool(2);
    int64_t sums[4] = {};
    for (int round = 0; round < 1000; ++round)
      pool.parallelFor(4, 0, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          ++sums[i];
      });
    for (int64_t sum : sums)
      EXPECT_EQ(sum, 1000);
  };
  std::thread other(call);
  call();
  other.join();
}

TEST(ThreadPoolTest, SmallWorkStaysOnTheCaller) {
  Context pool(4);
  std::thread::id self = std::this_thread::get_id();
  for (int round = 0; round < 100; ++round)
    pool.parallelFor(100, 10, [&](int64_t begin, int64_t end) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      EXPECT_EQ(end - begin, 100);
    });
}

TEST(ThreadPoolTest, LongWorkIsDealtOutEvenly) {
  Context pool(2);
  std::mutex mutex;
  std::set<int64_t> begins;
  int64_t longest = 0;
  pool.parallelFor(53, 10000, [&](int64_t begin, int64_t end) {
    std::lock_guard<std::mutex> lock(mutex);
    begins.insert(begin);
    longest = std::max(longest, end - begin);
  });
  // 20 microseconds are two items and a bit; the second run begins in the middle.
  EXPECT_EQ(begins.size(), 26u);
  EXPECT_EQ(longest, 3);
  EXPECT_EQ(begins.count(26), 1u);
}

TEST(ThreadPoolTest, HugeCosts) {
  Context pool(2);
  std::atomic<int64_t> sum{0};
  pool.parallelFor(5, INT64_MAX, [&](int64_t begin, int64_t end) {
    sum += end - begin;
  });
  EXPECT_EQ(sum.load(), 5);
  int64_t last = 0, first = INT64_MAX;
  std::atomic_flag lock = ATOMIC_FLAG_INIT;
  pool.parallelFor(INT64_MAX, 1, [&](int64_t begin, int64_t end) {
    while (lock.test_and_set())
      ;
    first = std::min(first, begin);
    last = std::max(last, end);
    lock.clear();
  });
  EXPECT_EQ(first, 0);
  EXPECT_EQ(last, INT64_MAX);
}

TEST(ThreadPoolTest, WorkersRoundAsTheCaller) {
  Context pool(4);
  std::atomic<int> wrong{0};
  volatile double one = 1, three = 3;
  const double nearest = one / three;
  for (int mode : {FE_UPWARD, FE_TONEAREST}) {
    ASSERT_EQ(std::fesetround(mode), 0);
    for (int round = 0; round < 50; ++round)
      pool.parallelFor(8, 0, [&](int64_t, int64_t) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        wrong += (one / three == nearest) != (mode == FE_TONEAREST);
      });
  }
  EXPECT_EQ(wrong.load(), 0);
}

#if defined(__has_feature)
#define HAS_FEATURE(NAME) __has_feature(NAME)
#else // GCC tells by a macro
#define HAS_FEATURE(NAME) 0
#endif
#if !defined(__SANITIZE_THREAD__) && !HAS_FEATURE(thread_sanitizer)
TEST(ThreadPoolTest, WorksInAForkedChild) {
  Context pool(3);
  pool.parallelFor(3, 0, [](int64_t, int64_t) {});
  // Asleep, so that no worker holds a lock while the process is copied.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    int64_t sum = 0;
    pool.parallelFor(10, 0, [&](int64_t begin, int64_t end) {
      sum += end - begin;
    });
    ssmrt_context_destroy(pool.context);
    _exit(sum == 10 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#endif

TEST(ThreadPoolTest, Create) {
  ssmrt_context *context = nullptr;
  ASSERT_EQ(ssmrt_context_create(0, &context), SSMRT_OK);
  EXPECT_GE(context->threads, 1u);
  EXPECT_EQ(context->struct_size, sizeof(ssmrt_context));
  ssmrt_context_destroy(context);
  EXPECT_EQ(ssmrt_context_create(1u << 20, &context), SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(context, nullptr);
  EXPECT_EQ(ssmrt_context_create(1, nullptr), SSMRT_BAD_ARGUMENT);
  ssmrt_context_destroy(nullptr);
  ssmrt_context_destroy(ssmrt_context_serial());
  EXPECT_EQ(ssmrt_context_serial()->threads, 1u);
}

} // namespace
