"""What Unreal Header Tool and UnrealBuildTool would refuse, and callbacks that could outlive their object.

Each rule has a function that takes the text of one file and returns the faults. UHT's rules are in
https://dev.epicgames.com/documentation/en-us/unreal-engine/unreal-header-tool and beside the specifiers:
https://dev.epicgames.com/documentation/en-us/unreal-engine/unreal-engine-uproperty-specifiers
"""

import re
from collections.abc import Iterator
from pathlib import Path

PARAMETERS = {"": 0, "OneParam": 1, "TwoParams": 2, "ThreeParams": 3, "FourParams": 4}

BLUEPRINT_TYPES = r"(bool|uint8|int32|int64|float|double|FString|FName|FText|FGuid|[EFU]Craftnet\w+)"
"""Of members and parameters that Blueprints see."""


def lint(plugin: Path) -> list[str]:
    """The faults of all files."""
    faults = []
    for module in sorted((plugin / "Source").iterdir()):
        build = module / f"{module.name}.Build.cs"
        if not build.exists():
            faults.append(f"{module.name}: {build.name} is missing")
        elif not re.search(rf"public class {module.name} : ModuleRules", build.read_text("utf-8")):
            faults.append(f"{build.name}: the class is not called {module.name}")
        if f'"Name": "{module.name}"' not in (plugin / "Craftnet.uplugin").read_text("utf-8"):
            faults.append(f"Craftnet.uplugin: no module {module.name}")
        sources = "".join(path.read_text("utf-8") for path in module.rglob("*.cpp"))
        if sources.count("IMPLEMENT_MODULE(") != 1 or f", {module.name});" not in sources:
            faults.append(f"{module.name}: IMPLEMENT_MODULE must stand once, with the module's name")
        for path in sorted([*module.rglob("*.h"), *module.rglob("*.cpp")]):
            text = path.read_text("utf-8")
            ours = path.name.startswith("Craftnet")  # and not of the core.
            found = lint_callbacks(text) if ours else []
            if ours and path.suffix == ".h":
                found += lint_header(path.stem, text, module.name)
            faults += [f"{path.name}: {fault}" for fault in found]
    return faults


def lint_header(stem: str, text: str, module: str) -> list[str]:
    """What is wrong in one header."""
    faults = []
    reflected = re.search(r"^(UCLASS|USTRUCT|UENUM|UINTERFACE)\(", text, re.M) is not None
    includes = re.findall(r'^#include "(.+)"', text, re.M)
    generated = [name for name in includes if name.endswith(".generated.h")]
    if generated != ([f"{stem}.generated.h"] if reflected else []):
        faults.append(f"expected {stem}.generated.h, found {generated}" if reflected else "a .generated.h without need")
    if reflected and includes and includes[-1] != f"{stem}.generated.h":
        faults.append("the .generated.h must be the last include")
    if "#pragma once" not in text:
        faults.append("#pragma once is missing")
    for specifiers, kind, declared in re.findall(r"^(UCLASS|USTRUCT)\(.*\)\n(class|struct) (.+?)(?: :|$)", text, re.M):
        name = declared.split()[-1]
        if (specifiers == "UCLASS") != (kind == "class"):
            faults.append(f"{name} is a {kind} behind {specifiers}")
        if f"{module.upper()}_API" not in declared:
            faults.append(f"{name} lacks {module.upper()}_API")
        if (name[0] not in ("U", "A") and kind == "class") or (name[0] != "F" and kind == "struct"):
            faults.append(f"{name} has the wrong prefix")
    for name, base in re.findall(r"^UENUM\(.*\)\nenum (?:class )?(\w+)(.*)$", text, re.M):
        if not name.startswith("E") or base.strip() != ": uint8":
            faults.append(f"{name}: an enumeration for Blueprints is called E… and has the type uint8")
    bodies, classes = text.count("GENERATED_BODY()"), len(re.findall(r"^(?:UCLASS|USTRUCT)\(", text, re.M))
    if bodies != classes:
        faults.append(f"{classes} classes and structs, {bodies} GENERATED_BODY()")
    return faults + lint_members(text) + lint_functions(text) + lint_delegates(text) + lint_conditions(text)


def members(text: str, macro: str) -> Iterator[tuple[str, str, str]]:
    """The specifiers of each UPROPERTY or UFUNCTION, what it declares, and the access there."""
    for found in re.finditer(rf"^\t{macro}\((.*)\)\n\t(.+)$", text, re.M):
        access = re.findall(r"^(public|protected|private):", text[: found.start()], re.M)
        started = re.findall(r"^(class|struct) ", text[: found.start()], re.M)
        yield found[1], found[2], access[-1] if access and started[-1:] == ["class"] else "public"


def lint_members(text: str) -> list[str]:
    """Members that hold objects, and members that Blueprints see."""
    faults = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        before = lines[number - 1].strip() if number else ""
        if re.match(r"\t(TObjectPtr<\w+>|U\w+\*|TArray<(TObjectPtr<)?U\w+) ?\*?>* \w+( = nullptr)?;", line) and (
            not before.startswith("UPROPERTY(")
        ):
            faults.append(f"line {number + 1}: an object without UPROPERTY may be collected")
    names = [declared.split(" = ")[0].rstrip(";").split()[-1] for _, declared, _ in members(text, "UPROPERTY")]
    if "class " in text and (twice := {name for name in names if names.count(name) > 1}) and text.count("UCLASS(") == 1:
        faults.append(f"{sorted(twice)}: declared twice")
    for specifiers, declared, access in members(text, "UPROPERTY"):
        visible = re.search("Blueprint(ReadOnly|ReadWrite|Assignable)", specifiers)
        if visible and access == "private":
            faults.append(f"{declared}: Blueprints cannot see a private member")
        if "BlueprintAssignable" in specifiers and not re.match(r"F\w+Event \w+;", declared):
            faults.append(f"{declared}: only a dynamic multicast delegate (F…Event) is assignable")
        elif visible and "BlueprintAssignable" not in specifiers and not re.match(_visible(), declared):
            faults.append(f"{declared}: Blueprints know no such type")
        faults += _without_category(text, specifiers, declared)
    return faults


def lint_functions(text: str) -> list[str]:
    """Functions that Blueprints call, and handlers."""
    faults = []
    functions = list(members(text, "UFUNCTION"))
    bound = {declared for _, declared, _ in functions}
    for handler in re.findall(r"^\t(void Handle\w+\(.*)$", text, re.M):
        if handler not in bound:
            faults.append(f"{handler}: AddDynamic needs a UFUNCTION")
    properties = {declared.split(" = ")[0].rstrip(";").split()[-1] for _, declared, _ in members(text, "UPROPERTY")}
    names = []
    for specifiers, declared, _ in functions:
        name = re.search(r"(\w+)\(", declared)
        assert name is not None, declared
        names.append(name[1])
        inside = declared[name.end() : declared.rindex(")")]
        for parameter in filter(None, re.split(r", (?![^<]*>)", inside)):
            kind, _, called = parameter.rpartition(" ")
            if called in properties:
                faults.append(f"{name[1]}: the parameter {called} hides a UPROPERTY")
            kind = re.sub(r"^const |&$|\*$", "", kind).strip().rstrip("&*")
            if not re.fullmatch(rf"(TArray<)?({BLUEPRINT_TYPES}|UObject)>?", kind):
                faults.append(f"{name[1]}: Blueprints know no {kind}")
        if "BlueprintPure" in specifiers and declared.startswith("void "):
            faults.append(f"{name[1]}: a pure function returns something")
        if "WorldContext = " in specifiers and f"UObject* {_quoted(specifiers)}" not in inside:
            faults.append(f"{name[1]}: WorldContext names no parameter")
        faults += _without_category(text, specifiers, declared)
    faults += [f"{name}: a UFUNCTION cannot be overloaded" for name in {*names} if names.count(name) > 1]
    return faults


def _visible() -> str:
    return rf"(TArray<)?(TObjectPtr<)?{BLUEPRINT_TYPES}>*( \w+)( = .+)?;"


def _quoted(specifiers: str) -> str:
    found = re.search(r'WorldContext = "(\w+)"', specifiers)
    return found[1] if found else ""


def _without_category(text: str, specifiers: str, declared: str) -> list[str]:
    pins = "BlueprintAssignable" in specifiers and ": public UBlueprintAsyncActionBase" in text
    if re.search("Blueprint(Callable|Pure|ReadOnly|ReadWrite|Assignable)", specifiers) is None or pins:
        return []
    return [] if "Category" in specifiers else [f"{declared}: what Blueprints see of a plugin needs a Category"]


def lint_delegates(text: str) -> list[str]:
    """The number of parameters is in the macro's name, and a dynamic delegate names each."""
    faults = []
    pattern = r"^DECLARE_(DYNAMIC_)?(?:MULTICAST_)?DELEGATE(_RetVal)?(?:_(\w+))?\((.+)\);"
    for dynamic, returns, suffix, inside in re.findall(pattern, text, re.M):
        parts = [part.strip() for part in re.sub(r"/\*.*?\*/|<[^<>]*>", "", inside).split(",")]
        name = parts.pop(1 if returns else 0)
        count = len(parts) - (1 if returns else 0)
        if suffix not in PARAMETERS:
            faults.append(f"{name}: there is no macro …_{suffix}")
            continue
        wanted = PARAMETERS[suffix] * (2 if dynamic else 1)
        if count != wanted:
            faults.append(f"{name} has {count} arguments behind its name, and the macro wants {wanted}")
        if not name.startswith("F"):
            faults.append(f"{name}: a delegate is called F…")
    return faults


def lint_conditions(text: str) -> list[str]:
    """UHT does not look at preprocessor conditions, and refuses its macros inside of them."""
    inside = "".join(re.findall(r"^#if(?:(?!^#endif).)*", text, re.M | re.S))
    return ["a macro of UHT between #if and #endif"] if re.search(r"\b(UPROPERTY|UFUNCTION|UCLASS)\(", inside) else []


def lint_callbacks(text: str) -> list[str]:
    """A lambda bound to a delegate, a ticker or another thread holds objects by weak pointers only."""
    faults = []
    binds = r"(?:BindLambda|AddLambda|CreateLambda|AsyncTask|AddTicker|GetAddressInfoAsync|Execute)\("
    for found in re.finditer(rf"{binds}[^\[\n]*\[([^\]]*)\]\(", text):
        line = text.count("\n", 0, found.start()) + 1
        for captured in filter(None, re.split(r",\s*", found[1])):
            if captured in ("this", "&", "=", "*this") or captured.startswith("&"):
                faults.append(f"line {line}: a callback captures {captured}: use a weak pointer")
    return faults
