//! Expressions inside others.

use regorus::unstable::{BinOp, BoolOp, Expr};

use super::writer::{Taken, Writer, arithmetic, is_literal, path};

impl Writer<'_> {
    /// Writes an expression inside another.
    pub(super) fn text(&mut self, expr: &Expr, taken: &mut Taken) -> String {
        if matches!(expr, Expr::Membership { .. }) {
            // In OPA, the result is undefined if an operand is undefined.
            return self.parts(expr, taken, &mut |writer, part, taken| {
                let text = writer.text(part, taken);
                if is_literal(part) || writer.is_local(part) {
                    text
                } else {
                    writer.take(text, taken, "")
                }
            });
        }
        self.parts(expr, taken, &mut |writer, part, taken| writer.text(part, taken))
    }

    /// Writes an expression whose parts `part` writes.
    pub(super) fn parts(
        &mut self,
        expr: &Expr,
        taken: &mut Taken,
        part: &mut dyn FnMut(&mut Self, &Expr, &mut Taken) -> String,
    ) -> String {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::UnaryExpr { .. } => literal(expr),
            Expr::Var { span, .. } => span.text().to_owned(),
            Expr::Array { items, .. } => {
                let items: Vec<_> = items.iter().map(|item| part(self, item, taken)).collect();
                format!("[{}]", items.join(", "))
            }
            Expr::Set { items, .. } if items.is_empty() => "set()".to_owned(),
            Expr::Set { items, .. } => {
                let items: Vec<_> = items.iter().map(|item| part(self, item, taken)).collect();
                format!("{{{}}}", items.join(", "))
            }
            Expr::Object { fields, .. } => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(_, key, value)| {
                        format!("{}: {}", part(self, key, taken), part(self, value, taken))
                    })
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }
            Expr::ArrayCompr { term, query, .. } => {
                let mut of_head = Taken::new();
                let term = self.text(term, &mut of_head);
                format!("[{term} | {}]", self.inner(query, of_head))
            }
            Expr::SetCompr { term, query, .. } => {
                let mut of_head = Taken::new();
                let term = self.text(term, &mut of_head);
                format!("{{{term} | {}}}", self.inner(query, of_head))
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                let mut of_head = Taken::new();
                let key = self.text(key, &mut of_head);
                let value = self.text(value, &mut of_head);
                format!("{{{key}: {value} | {}}}", self.inner(query, of_head))
            }
            Expr::Call { fcn, params, .. } => {
                let params: Vec<_> = params.iter().map(|param| part(self, param, taken)).collect();
                format!("{}({})", path(fcn), params.join(", "))
            }
            Expr::RefDot { refr, field, .. } => {
                format!("{}.{}", self.text(refr, taken), field.0.text())
            }
            Expr::RefBrack { refr, index, .. } => {
                let refr = self.text(refr, taken);
                format!("{refr}[{}]", self.text(index, taken))
            }
            Expr::BinExpr { op, lhs, rhs, .. } => {
                let op = match op {
                    BinOp::Intersection => "&",
                    BinOp::Union => "|",
                };
                format!("({} {op} {})", part(self, lhs, taken), part(self, rhs, taken))
            }
            Expr::BoolExpr { op, lhs, rhs, .. } => {
                let op = match op {
                    BoolOp::Lt => "<",
                    BoolOp::Le => "<=",
                    BoolOp::Eq => "==",
                    BoolOp::Ge => ">=",
                    BoolOp::Gt => ">",
                    BoolOp::Ne => "!=",
                };
                format!("({} {op} {})", part(self, lhs, taken), part(self, rhs, taken))
            }
            Expr::ArithExpr { op, lhs, rhs, .. } => {
                let name = arithmetic(op);
                format!("{name}({}, {})", part(self, lhs, taken), part(self, rhs, taken))
            }
            // The check rejects an assignment that is not a statement.
            Expr::AssignExpr { span, .. } => span.text().to_owned(),
            Expr::Membership { key, value, collection, .. } => {
                let key = key.as_ref().map(|key| part(self, key, taken) + ", ");
                let value = part(self, value, taken);
                let collection = part(self, collection, taken);
                format!("({}{value} in {collection})", key.unwrap_or_default())
            }
        }
    }
}

fn literal(expr: &Expr) -> String {
    match expr {
        Expr::String { value, .. } | Expr::RawString { value, .. } => {
            let text = value.as_string().map(|text| text.to_string()).unwrap_or_default();
            serde_json::Value::from(text).to_string()
        }
        other => other.span().text().to_owned(),
    }
}
