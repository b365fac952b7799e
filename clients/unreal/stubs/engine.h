// Just enough of the engine to look at the plugin's syntax and types without it. Written from the documented signatures,
// whose addresses stand beside them; nothing here was copied from the engine. What is declared here and is otherwise in the
// engine makes the check worthless: building there is what counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#define CORE_API
#define CRAFTNET_API
#define TEXT(text) u##text
#define check(condition) ((void)(condition))
#define MAX_int32 0x7fffffff
#define INDEX_NONE (-1)

using uint8 = std::uint8_t;
using uint16 = std::uint16_t;
using uint32 = std::uint32_t;
using int32 = std::int32_t;
using int64 = std::int64_t;
using SIZE_T = std::size_t;
using TCHAR = char16_t;

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/Containers/TArray
template <typename T>
class TArray
{
public:
	TArray() = default;
	TArray(const T* Data, int32 Count);
	T* GetData();
	const T* GetData() const;
	int32 Num() const;
	void SetNumUninitialized(int32 Count);
	int32 Add(const T& Item);
	void Append(const T* Items, int32 Count);
	void RemoveAt(int32 Index);
	template <typename Predicate>
	int32 RemoveAll(const Predicate& Matches)
	{
		(void)std::function<bool(const T&)>(Matches);
		return 0;
	}
	void Reset(int32 Slack = 0);
	bool IsValidIndex(int32 Index) const;
	T& operator[](int32 Index);
	const T& operator[](int32 Index) const;
	T* begin();
	T* end();
	const T* begin() const;
	const T* end() const;
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/Containers/FString
namespace ESearchCase { enum Type { CaseSensitive, IgnoreCase }; }
namespace ESearchDir { enum Type { FromStart, FromEnd }; }
class FString
{
public:
	FString() = default;
	FString(const TCHAR* Text);
	const TCHAR* operator*() const;
	bool IsEmpty() const;
	int32 Len() const;
	FString Mid(int32 Start, int32 Count) const;
	FString Left(int32 Count) const;
	FString RightChop(int32 Count) const;
	bool RemoveFromEnd(const TCHAR* Suffix);
	int32 Find(const TCHAR* Text, ESearchCase::Type Case = ESearchCase::IgnoreCase, ESearchDir::Type Dir = ESearchDir::FromStart, int32 From = -1) const;
	bool Split(const FString& Separator, FString* Left, FString* Right, ESearchCase::Type Case = ESearchCase::IgnoreCase, ESearchDir::Type Dir = ESearchDir::FromStart) const;
	FString& operator+=(const FString& Other);
	template <typename Range>
	static FString Join(const Range& Parts, const TCHAR* Separator);
	template <typename... Arguments>
	static FString Printf(const TCHAR* Format, Arguments... Values);
};
FString operator+(const FString& One, const FString& Other);
FString operator+(const TCHAR* One, const FString& Other);
FString operator+(const FString& One, const TCHAR* Other);

// https://dev.epicgames.com/documentation/en-us/unreal-engine/character-encoding-in-unreal-engine
const char* StubUtf8(const TCHAR* Text);
const TCHAR* StubWide(const char* Text);
#define TCHAR_TO_UTF8(Text) StubUtf8(Text)
#define UTF8_TO_TCHAR(Text) StubWide(Text)

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/Misc/FCString
struct FCString
{
	static double Atod(const TCHAR* Text);
	static int32 Atoi(const TCHAR* Text);
};

class FName
{
};
inline const FName NAME_None{};
inline const FName NAME_DGram{};

template <typename K, typename V>
class TMap
{
public:
	V& Add(const K& Key, const V& Value);
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/Templates/TFunction
template <typename Signature>
using TFunction = std::function<Signature>;
template <typename Signature>
class TFunctionRef;
template <typename Result, typename... Arguments>
class TFunctionRef<Result(Arguments...)>
{
public:
	template <typename Callable>
	TFunctionRef(Callable&& Called)
	{
		(void)std::function<Result(Arguments...)>(Called);
	}
	Result operator()(Arguments... Values) const;
};

template <typename T>
std::remove_reference_t<T>&& MoveTemp(T&& Value)
{
	return static_cast<std::remove_reference_t<T>&&>(Value);
}

// https://dev.epicgames.com/documentation/en-us/unreal-engine/unreal-smart-pointer-library
enum class ESPMode { NotThreadSafe, ThreadSafe };
template <typename T, ESPMode Mode = ESPMode::ThreadSafe>
class TSharedRef;
template <typename T, ESPMode Mode = ESPMode::ThreadSafe>
class TWeakPtr;
template <typename T, ESPMode Mode = ESPMode::ThreadSafe>
class TSharedPtr
{
public:
	TSharedPtr() = default;
	TSharedPtr(std::nullptr_t);
	TSharedPtr(const TSharedRef<T, Mode>& Other);
	bool IsValid() const;
	void Reset();
	T* operator->() const;
	T& operator*() const;
	explicit operator bool() const;
	friend bool operator==(const TSharedPtr&, const TSharedPtr&) { return true; }
};
template <typename T, ESPMode Mode>
class TSharedRef
{
public:
	T* operator->() const;
	T& operator*() const;
};
template <typename T, ESPMode Mode>
class TWeakPtr
{
public:
	TWeakPtr() = default;
	TWeakPtr(const TSharedPtr<T, Mode>& Other);
	TWeakPtr(const TSharedRef<T, Mode>& Other);
	TSharedPtr<T, Mode> Pin() const;
};
template <typename T>
class TSharedFromThis
{
public:
	TSharedRef<T> AsShared();
};
template <typename T, typename... Arguments>
TSharedRef<T> MakeShared(Arguments&&... Values)
{
	(void)sizeof(T(std::forward<Arguments>(Values)...));
	return TSharedRef<T>();
}

struct FMath
{
	static float FRand();
	static int32 RandRange(int32 Least, int32 Most);
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/Misc/FGuid
enum class EGuidFormats { Digits, DigitsWithHyphensLower };
struct FGuid
{
	FString ToString(EGuidFormats Format) const;
	static bool Parse(const FString& Text, FGuid& Guid);
};

struct FPlatformTime
{
	static double Seconds();
};
struct FDateTime
{
	static FDateTime UtcNow();
	int64 ToUnixTimestamp() const;
};
struct FParse
{
	static bool Value(const TCHAR* Stream, const TCHAR* Match, float& Found);
	static uint32 HexNumber(const TCHAR* Digits);
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/logging-in-unreal-engine
namespace ELogVerbosity { enum Type { Error, Warning, Display, Log, All }; }
struct FLogCategory
{
};
#define DECLARE_LOG_CATEGORY_EXTERN(Name, Default, Compiled) extern FLogCategory Name
#define DEFINE_LOG_CATEGORY(Name) FLogCategory Name
template <typename... Arguments>
void StubLog(const FLogCategory&, ELogVerbosity::Type, const TCHAR*, const Arguments&...);
#define UE_LOG(Category, Verbosity, Format, ...) StubLog(Category, ELogVerbosity::Verbosity, Format, ##__VA_ARGS__)

// https://dev.epicgames.com/documentation/en-us/unreal-engine/unreal-engine-stats-system-overview
#define DECLARE_STATS_GROUP(Description, Id, Category) struct Id {}
#define DECLARE_CYCLE_STAT(Name, Id, Group) using Stub##Id = Group; struct Id {}
#define SCOPE_CYCLE_COUNTER(Id) Id Scope##Id; (void)Scope##Id

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/Modules
class IModuleInterface
{
};
class FDefaultModuleImpl : public IModuleInterface
{
};
#define IMPLEMENT_MODULE(Class, Name) inline Class Module##Name

// https://dev.epicgames.com/documentation/en-us/unreal-engine/delegates-and-lambda-functions-in-unreal-engine
class FDelegateHandle
{
public:
	bool IsValid() const;
	void Reset();
};
template <typename Result, typename... Arguments>
class TStubDelegate
{
public:
	template <typename Callable>
	void BindLambda(Callable&& Called) { (void)std::function<Result(Arguments...)>(Called); }
	template <typename Callable>
	static TStubDelegate CreateLambda(Callable&& Called) { (void)std::function<Result(Arguments...)>(Called); return {}; }
	bool IsBound() const;
	Result Execute(Arguments... Values) const;
};
template <typename... Arguments>
class TStubMulticast
{
public:
	template <typename Callable>
	FDelegateHandle AddLambda(Callable&& Called) { (void)std::function<void(Arguments...)>(Called); return {}; }
	void Broadcast(Arguments... Values) const;
};
template <typename... Arguments>
class TStubDynamicMulticast
{
public:
	template <typename Class>
	void StubAddDynamic(Class* Object, void (Class::*Method)(Arguments...));
	void Broadcast(Arguments... Values) const;
};
#define AddDynamic(Object, Method) StubAddDynamic(Object, Method)
#define DECLARE_DELEGATE_TwoParams(Name, A, B) using Name = TStubDelegate<void, A, B>
#define DECLARE_MULTICAST_DELEGATE(Name) using Name = TStubMulticast<>
#define DECLARE_MULTICAST_DELEGATE_OneParam(Name, A) using Name = TStubMulticast<A>
#define DECLARE_MULTICAST_DELEGATE_TwoParams(Name, A, B) using Name = TStubMulticast<A, B>
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE(Name) using Name = TStubDynamicMulticast<>
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(Name, A, AName) using Name = TStubDynamicMulticast<A>
#define DECLARE_DYNAMIC_MULTICAST_DELEGATE_TwoParams(Name, A, AName, B, BName) using Name = TStubDynamicMulticast<A, B>
#define DECLARE_DYNAMIC_DELEGATE_RetVal_OneParam(Return, Name, A, AName) using Name = TStubDelegate<Return, A>

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/Containers/FTSTicker
using FTickerDelegate = TStubDelegate<bool, float>;
class FTSTicker
{
public:
	using FDelegateHandle = ::FDelegateHandle;
	static FTSTicker& GetCoreTicker();
	FDelegateHandle AddTicker(const FTickerDelegate& Delegate, float Delay = 0.0f);
	static void RemoveTicker(FDelegateHandle Handle);
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/Async/AsyncTask
namespace ENamedThreads { enum Type { GameThread }; }
void AsyncTask(ENamedThreads::Type Thread, TFunction<void()> Function);

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/IsInGameThread
bool IsInGameThread();
