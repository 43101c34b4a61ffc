//! Import circles: which modules of one folder import each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A folder of modules, as far as imports are concerned.
pub struct Folder {
    /// The module path of the folder from the root of its crate.
    pub path: Vec<String>,
    /// The text of `mod.rs`, or of the file that stands in its place.
    pub root: String,
    /// Each file below: its module path, its name for a message, and its text.
    pub files: Vec<(Vec<String>, String, String)>,
}

/// The place of an import.
type Place = String;

/// For each module the modules that it imports, with the place of the first import.
type Imports = BTreeMap<String, BTreeMap<String, Place>>;

impl Folder {
    /// Finds the circles, each once, as `a → b → a` with the places. Modules that exist only in tests do not
    /// count, and neither does what the tests of a module import.
    pub fn circles(&self) -> Vec<String> {
        let imports = self.imports();
        let mut known = BTreeSet::new();
        let mut found = Vec::new();
        for start in imports.keys() {
            let Some(circle) = shortest_circle(&imports, start) else {
                continue;
            };
            if known.insert(circle.iter().cloned().collect::<BTreeSet<_>>()) {
                let pairs = circle.iter().zip(circle.iter().cycle().skip(1));
                let places: Vec<_> = pairs.map(|(from, to)| imports[from][to].as_str()).collect();
                let circle = circle.join(" → ");
                found.push(format!("{circle} → {start} ({})", places.join(", ")));
            }
        }
        found
    }

    fn imports(&self) -> Imports {
        let modules = self.modules();
        let names = self.names_in_root(&modules);
        let mut imports = Imports::new();
        for (module, file, text) in &self.files {
            let own = &module[self.path.len()];
            if !modules.contains(own) {
                continue;
            }
            for named in paths(without_tests(text), module, &BTreeSet::new()) {
                let Some(first) = named
                    .path
                    .strip_prefix(self.path.as_slice())
                    .and_then(|rest| rest.first())
                else {
                    continue;
                };
                let to = names.get(first).unwrap_or(first);
                if modules.contains(to) && to != own {
                    let place = || format!("{file}:{}", named.line);
                    let to = to.clone();
                    let from = imports.entry(own.clone()).or_default();
                    from.entry(to).or_insert_with(place);
                }
            }
        }
        imports
    }

    /// The modules of the folder, without those that exist only in tests.
    fn modules(&self) -> BTreeSet<String> {
        let mut modules: BTreeSet<_> = self
            .files
            .iter()
            .map(|(path, ..)| path[self.path.len()].clone())
            .collect();
        let lines: Vec<&str> = self.root.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let name = pair[1]
                .strip_prefix("mod ")
                .and_then(|rest| rest.strip_suffix(';'));
            if let (true, Some(name)) = (pair[0] == "#[cfg(test)]", name) {
                modules.remove(name);
            }
        }
        modules
    }

    /// The names that the root has from its modules, with the module of each: a module that imports such a
    /// name of the root imports that module.
    fn names_in_root(&self, modules: &BTreeSet<String>) -> BTreeMap<String, String> {
        paths(without_tests(&self.root), &self.path, modules)
            .into_iter()
            .filter(|named| named.used)
            .filter_map(|named| {
                let rest = named.path.strip_prefix(self.path.as_slice())?;
                let [module, _, ..] = rest else {
                    return None;
                };
                let module = modules.get(module)?;
                Some((named.name, module.clone()))
            })
            .collect()
    }
}

fn shortest_circle(imports: &Imports, start: &str) -> Option<Vec<String>> {
    let mut open = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = open.pop_front() {
        let next = imports.get(way.last()?).into_iter().flatten();
        for (to, _) in next {
            if to == start {
                return Some(way);
            }
            if seen.insert(to) {
                open.push_back([way.as_slice(), std::slice::from_ref(to)].concat());
            }
        }
    }
    None
}

/// A path that a file names.
#[derive(Debug)]
struct Named {
    line: usize,
    /// The path from the root of the crate.
    path: Vec<String>,
    /// The name that it has in this file.
    name: String,
    /// Whether a `use` names it.
    used: bool,
}

/// The text without comments, and without the module of tests at its end.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let tests = line.trim() == "#[cfg(test)]"
            && lines
                .peek()
                .is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        if tests {
            break;
        }
        if !line.trim_start().starts_with("//") {
            kept.push_str(line);
        }
        kept.push('\n');
    }
    kept
}

/// The paths that a module's text names from the crate, from a module above, or from one of these modules
/// below it.
fn paths(text: String, module: &[String], below: &BTreeSet<String>) -> Vec<Named> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut before = ' ';
    while let Some(c) = text[at..].chars().next() {
        let head = identifier(&text[at..]);
        if head.is_empty() {
            before = c;
            at += c.len_utf8();
            continue;
        }
        let starts = ["crate", "super", "self"].contains(&head) || below.contains(head);
        if starts && before != ':' && text[at + head.len()..].starts_with("::") {
            let line = text[..at].matches('\n').count() + 1;
            let used = text[..at].trim_end().ends_with("use");
            let mut leaves = Vec::new();
            tree(&text[at..], &[], &mut leaves);
            found.extend(leaves.into_iter().map(|(path, name)| Named {
                line,
                path: from_the_root(&path, module),
                name,
                used,
            }));
        }
        before = 'a';
        at += head.len();
    }
    found
}

/// Reads a path, or a tree of paths in braces. Gives each with the name that it has from then on; returns how
/// much was read.
fn tree(text: &str, above: &[String], leaves: &mut Vec<(Vec<String>, String)>) -> usize {
    let mut path = above.to_vec();
    let mut at = blanks(text);
    loop {
        if text[at..].starts_with('{') {
            at += 1;
            while !text[at..].starts_with('}') {
                at += tree(&text[at..], &path, leaves);
                at += blanks(&text[at..]);
                if text[at..].starts_with(',') {
                    at += 1;
                } else if !text[at..].starts_with('}') {
                    return at;
                }
                at += blanks(&text[at..]);
            }
            return at + 1;
        }
        let segment = identifier(&text[at..]);
        if segment.is_empty() {
            // A star, or generics.
            at += usize::from(text[at..].starts_with('*'));
            break;
        }
        path.push(segment.to_owned());
        at += segment.len();
        if !text[at..].starts_with("::") {
            break;
        }
        at += 2;
    }
    let named = path.iter().rfind(|segment| *segment != "self");
    let mut name = named.cloned().unwrap_or_default();
    if let Some(alias) = text[at..].strip_prefix(" as ") {
        name = identifier(alias).to_owned();
        at += " as ".len() + name.len();
    }
    leaves.push((path, name));
    at
}

/// A path within this module, as a path from the root of the crate.
fn from_the_root(path: &[String], module: &[String]) -> Vec<String> {
    let mut all = module.to_vec();
    for segment in path {
        match segment.as_str() {
            "crate" => all.clear(),
            "self" => {}
            "super" => {
                all.pop();
            }
            name => all.push(name.to_owned()),
        }
    }
    all
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}
