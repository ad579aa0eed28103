//! Rewrites negated expressions: moves their operands into separate statements.

use regorus::unstable::{BoolOp, Expr};

use super::writer::{Taken, Writer};

impl Writer<'_> {
    pub(super) fn negated(&mut self, expr: &Expr, with: &str, taken: &mut Taken) -> String {
        match expr {
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } | Expr::AssignExpr { lhs, rhs, .. } => {
                let lhs = self.side(lhs, with, taken);
                format!("{lhs} == {}", self.side(rhs, with, taken))
            }
            Expr::BoolExpr { .. }
            | Expr::ArithExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::Membership { .. }
            | Expr::Call { .. } => self
                .parts(expr, taken, &mut |writer, part, taken| writer.operand(part, with, taken)),
            expr => self.side(expr, with, taken),
        }
    }

    /// Writes the negated expression itself, or a side of its `==`. A reference stays in place.
    fn side(&mut self, expr: &Expr, with: &str, taken: &mut Taken) -> String {
        match expr {
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr, with, taken),
            Expr::Var { .. } => self.text(expr, taken),
            expr => self.operand(expr, with, taken),
        }
    }

    fn reference(&mut self, expr: &Expr, with: &str, taken: &mut Taken) -> String {
        match expr {
            Expr::RefDot { refr, field, .. } => {
                format!("{}.{}", self.reference(refr, with, taken), field.0.text())
            }
            Expr::RefBrack { refr, index, .. } => {
                let refr = self.reference(refr, with, taken);
                format!("{refr}[{}]", self.operand(index, with, taken))
            }
            Expr::Var { .. } => self.text(expr, taken),
            expr => self.operand(expr, with, taken),
        }
    }

    /// Writes an operand of a negated expression. Moves it into a separate statement, unless it is
    /// always defined.
    fn operand(&mut self, expr: &Expr, with: &str, taken: &mut Taken) -> String {
        let mut inner =
            |writer: &mut Self, part: &Expr, taken: &mut Taken| writer.operand(part, with, taken);
        match expr {
            Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                let text = self.reference(expr, with, taken);
                self.take(text, taken, with)
            }
            Expr::Var { .. } if self.is_local(expr) => self.text(expr, taken),
            Expr::Var { .. } => {
                let text = self.text(expr, taken);
                self.take(text, taken, with)
            }
            Expr::Call { .. }
            | Expr::ArithExpr { .. }
            | Expr::BinExpr { .. }
            | Expr::BoolExpr { .. }
            | Expr::Membership { .. } => {
                let text = self.parts(expr, taken, &mut inner);
                self.take(text, taken, with)
            }
            expr => self.parts(expr, taken, &mut inner),
        }
    }
}
